#include <refrain/base/error.hpp>
#include <refrain/endpoint/url.hpp>

#include <arpa/inet.h>
#include <curl/curl.h>

#include <cctype>
#include <memory>

namespace refrain::endpoint {
namespace {

struct CloseUrl {
  void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
};
using ParsedUrl = std::unique_ptr<CURLU, CloseUrl>;

/// A part of it, or nothing where it has none.
std::string part(ParsedUrl const& url, CURLUPart which) {
  char* text = nullptr;
  if (curl_url_get(url.get(), which, &text, 0) != CURLUE_OK) return {};
  std::string const copy = text;
  curl_free(text);
  return copy;
}

bool is_local(std::string const& host) {
  if (host == "localhost" || host == "[::1]") return true;
  in_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

}  // namespace

Url Url::parse(std::string const& written) {
  ParsedUrl const url(curl_url());
  // libcurl would take the path of http:///v1 for a host.
  std::size_t const host_begins = written.find("://") + 3;
  bool const has_host = written.find("://") != std::string::npos && written.find('/', host_begins) != host_begins;
  bool const sound =
      has_host && url && curl_url_set(url.get(), CURLUPART_URL, written.c_str(), CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
  std::string const scheme = sound ? part(url, CURLUPART_SCHEME) : std::string();
  if (scheme != "http" && scheme != "https")
    throw UsageError("--endpoint is no http:// or https:// URL", "write it as http://HOST:PORT/v1");
  if (!part(url, CURLUPART_USER).empty() || !part(url, CURLUPART_PASSWORD).empty())
    throw UsageError("--endpoint holds a user name or a password, and would be written into every output",
                     "take it out; a key comes from the environment variable REFRAIN_API_KEY");
  if (!part(url, CURLUPART_QUERY).empty() || !part(url, CURLUPART_FRAGMENT).empty())
    throw UsageError("--endpoint holds a query (?...) or a fragment (#...)",
                     "take it out; a key comes from the environment variable REFRAIN_API_KEY");

  std::string host = part(url, CURLUPART_HOST);
  for (char& c : host) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string path = part(url, CURLUPART_PATH);
  while (path.ends_with('/')) path.pop_back();
  if (path.empty()) path = "/v1";
  if (!path.ends_with("/chat/completions")) path += "/chat/completions";
  std::string const port = part(url, CURLUPART_PORT);
  return {.completions = scheme + "://" + host + (port.empty() ? "" : ":" + port) + path,
          .encrypted = scheme == "https",
          .local = is_local(host)};
}

}  // namespace refrain::endpoint
