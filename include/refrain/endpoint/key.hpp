#pragma once

#include <string>
#include <string_view>

namespace refrain::endpoint {

struct Url;

/// The key of a server, or none. It goes into the header of requests to that server's URL, and nowhere else.
class ApiKey {
public:
  /// REFRAIN_API_KEY, for requests to `url`. @throws UsageError if it holds what no header can carry, or would go over
  /// the network in the clear and `insecure` is false
  static ApiKey for_url(Url const& url, bool insecure);
  explicit ApiKey(std::string key) : key_(std::move(key)) {}

  bool is_set() const noexcept { return !key_.empty(); }
  std::string header() const { return "Authorization: Bearer " + key_; }
  /// `text` of a server with *** for the key: servers repeat it in their error messages.
  std::string hidden_in(std::string text) const;
  /// Whether an answer repeats the key. Short ones ("EMPTY") are no secret, and words of a language.
  bool stands_in(std::string_view text) const;

private:
  std::string key_;
};

}  // namespace refrain::endpoint
