#pragma once

#include <refrain/endpoint/chat.hpp>
#include <refrain/endpoint/key.hpp>

#include <cstddef>
#include <string>

namespace refrain::endpoint {

/// The largest reply that is read.
constexpr std::size_t most_reply_bytes = std::size_t{64} << 20;
/// The longest pause, in seconds, that a server may ask for.
constexpr double longest_retry_after = 600;

/// How a try ended below HTTP.
enum class Delivery {
  whole,  ///< a whole HTTP reply came
  unknown_host,
  no_connection,
  timeout,
  cut,  ///< the connection ended before the reply did
  no_tls,
  bad_certificate,
  too_large,  ///< more than `most_reply_bytes`
  unusable,   ///< what HTTP does not know, or libcurl cannot do
};

/// What came of one try.
struct Reply {
  Delivery delivery = Delivery::whole;
  std::string detail;  ///< libcurl's words for what is unusable
  long status = 0;     ///< HTTP's
  std::string body, content_type;
  std::string redirect;    ///< where the server sends us; empty where it does not
  double retry_after = 0;  ///< seconds, from the header Retry-After; 0 where there is none
};

/// What follows from it.
enum class Fate {
  answered,
  refused,   ///< final for this request
  again,     ///< to be tried again
  hopeless,  ///< no request of this run would fare better
};

struct Verdict {
  Fate fate = Fate::answered;
  Answer answer;            ///< where it is answered
  std::string reason;       ///< else why not: one line, without the key
  std::string remedy;       ///< where it is hopeless
  bool overloaded = false;  ///< no new request should be sent before the pause is over
};

/// Reads a reply. 408, 429, 5xx, what is cut, late or no JSON is tried again; 401, 404, redirects, a used-up quota and
/// pauses beyond `longest_retry_after` are hopeless; other 4xx and other JSON are refused.
Verdict judge(Reply const& reply, Request const& request, ApiKey const& key, double timeout_seconds);

/// Seconds to wait after a request's try number `tries` (from 1): backoff * 2^(tries - 1), at most 60, times a factor
/// from 0.5 to 1 that is random in (custom_id, tries); no less than `retry_after`, and up to `backoff` more, so that
/// those who were told the same do not come back at once.
double pause_after(int tries, double backoff, double retry_after, std::string const& custom_id);

}  // namespace refrain::endpoint
