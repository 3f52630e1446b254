#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/random.hpp>
#include <refrain/endpoint/reply.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace refrain::endpoint {
namespace {

constexpr double longest_pause = 60;  // seconds, where the server asks for none

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%g s", seconds);
  return text;
}

Verdict again(std::string reason, bool overloaded = false) {
  return {.fate = Fate::again, .reason = std::move(reason), .overloaded = overloaded};
}
Verdict refused(std::string reason) { return {.fate = Fate::refused, .reason = std::move(reason)}; }
Verdict hopeless(std::string reason, std::string remedy) {
  return {.fate = Fate::hopeless, .reason = std::move(reason), .remedy = std::move(remedy)};
}

/// Of a try that brought no whole HTTP reply.
Verdict judge_delivery(Reply const& reply, double timeout_seconds) {
  switch (reply.delivery) {
    case Delivery::whole: break;
    case Delivery::unknown_host: return again("the host's name is not known", true);
    case Delivery::no_connection: return again("nothing takes connections there", true);
    case Delivery::timeout: return again("no answer within " + seconds_text(timeout_seconds));
    case Delivery::cut: return again("the connection was cut");
    case Delivery::no_tls: return again("no encrypted connection came about");
    case Delivery::too_large:
      return refused("the answer is larger than " + format_bytes(static_cast<double>(most_reply_bytes)));
    case Delivery::bad_certificate:
      return hopeless("the server's certificate is not accepted",
                      "check the URL's host, and that this machine knows the authority that signed it");
    case Delivery::unusable: break;
  }
  return hopeless("no HTTP reply can be had: " + reply.detail, "check that --endpoint names an HTTP server");
}

Verdict judge_completion(Reply const& reply, Request const& request, ApiKey const& key) {
  Json const body = Json::parse(reply.body, nullptr, false);
  if (body.is_discarded()) {
    bool const json = reply.content_type.empty() || reply.content_type.starts_with("application/json");
    return again(json ? "the answer is broken JSON"
                      : "the answer is " + short_line(key.hidden_in(reply.content_type)) + ", not JSON");
  }
  try {
    Verdict verdict{.fate = Fate::answered, .answer = read_completion(body, request.custom_id, request.sampling.n)};
    bool secret = key.stands_in(verdict.answer.model);
    for (Completion const& completion : verdict.answer.completions)
      secret = secret || key.stands_in(completion.text) || key.stands_in(completion.finish_reason);
    if (secret) return refused("the answer repeats the API key, so it is not kept");
    return verdict;
  } catch (Error const& error) {
    return refused(short_line(key.hidden_in(error.problem())));
  }
}

bool quota_is_used_up(Json const& body) {
  if (!body.is_object() || !body.contains("error") || !body["error"].is_object()) return false;
  Json const& error = body["error"];
  return error.value("code", Json()) == "insufficient_quota" || error.value("type", Json()) == "insufficient_quota";
}

}  // namespace

Verdict judge(Reply const& reply, Request const& request, ApiKey const& key, double timeout_seconds) {
  if (reply.delivery != Delivery::whole) return judge_delivery(reply, timeout_seconds);
  long const status = reply.status;
  if (status >= 200 && status < 300) return judge_completion(reply, request, key);

  std::string reason = "HTTP " + std::to_string(status);
  Json const body = Json::parse(reply.body, nullptr, false);
  std::string said = body.is_discarded() ? std::string() : error_message(body);
  if (body.is_discarded() && reply.content_type.starts_with("text/plain")) said = reply.body;
  said = short_line(key.hidden_in(std::move(said)));  // in this order, or a piece of the key may be left
  if (!said.empty()) reason += ": " + said;

  if (status >= 300 && status < 400)
    return hopeless(reason + (reply.redirect.empty() ? "" : ", to " + short_line(key.hidden_in(reply.redirect))),
                    "give --endpoint the address that answers itself: a redirect is not followed, since the key is for "
                    "one address only");
  if (status == 401)
    return hopeless(reason, key.is_set() ? "set REFRAIN_API_KEY to a key that this server takes"
                                         : "set REFRAIN_API_KEY: the server wants a key");
  if (status == 404) return hopeless(reason, "check --endpoint (it often ends in /v1) and --model");
  if (status == 429 && !body.is_discarded() && quota_is_used_up(body))
    return hopeless(reason, "raise the quota of the key's account, or use another key");
  bool const overloaded = status == 429 || status == 503;
  if (overloaded && reply.retry_after > longest_retry_after)
    return hopeless(reason + ", and asks for a pause of " + format_duration(reply.retry_after), "start again after it");
  if (status == 408 || status == 429 || status >= 500) return again(reason, overloaded);
  return refused(reason);
}

double pause_after(int tries, double backoff, double retry_after, std::string const& custom_id) {
  CounterRandom const random(0, "endpoint/" + custom_id);
  auto const counter = static_cast<uint64_t>(tries);
  double const own =
      std::min(std::ldexp(backoff, std::min(tries - 1, 32)), longest_pause) * (1 - 0.5 * random.uniform(2 * counter));
  if (retry_after <= 0) return own;
  return std::max(own, retry_after + backoff * random.uniform(2 * counter + 1));
}

}  // namespace refrain::endpoint
