#include <refrain/base/error.hpp>
#include <refrain/endpoint/key.hpp>
#include <refrain/endpoint/url.hpp>

#include <algorithm>
#include <cstdlib>

namespace refrain::endpoint {

ApiKey ApiKey::for_url(Url const& url, bool insecure) {
  char const* const value = std::getenv("REFRAIN_API_KEY");
  ApiKey key(value ? value : "");
  if (std::any_of(key.key_.begin(), key.key_.end(), [](char c) { return c <= ' ' || c >= '\x7f'; }))
    throw UsageError("REFRAIN_API_KEY holds a blank, a line break or a character that is not ASCII",
                     "set it to the key alone");
  if (key.is_set() && !url.encrypted && !url.local && !insecure)
    throw UsageError(
        "REFRAIN_API_KEY would go to " + url.completions + " unencrypted",
        "use https://, unset REFRAIN_API_KEY, or give --endpoint-insecure on where the network is trusted");
  return key;
}

std::string ApiKey::hidden_in(std::string text) const {
  if (!is_set()) return text;
  for (std::size_t at = 0; (at = text.find(key_, at)) != std::string::npos; at += 3)
    text.replace(at, key_.size(), "***");
  return text;
}

bool ApiKey::stands_in(std::string_view text) const {
  constexpr std::size_t shortest_secret = 8;
  return key_.size() >= shortest_secret && text.find(key_) != std::string_view::npos;
}

}  // namespace refrain::endpoint
