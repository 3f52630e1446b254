#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/endpoint/reply.hpp>

#include <set>

using namespace refrain;
using namespace refrain::endpoint;

namespace {

Verdict judged(Reply const& reply) { return judge(reply, {.custom_id = "a"}, ApiKey("sk-placeholder-17"), 30); }

Reply http(long status, std::string body = {}, double retry_after = 0) {
  return {.status = status, .body = std::move(body), .content_type = "application/json", .retry_after = retry_after};
}

}  // namespace

TEST_CASE("what a status means for a request") {
  for (long const status : {408L, 429L, 500L, 502L, 503L, 504L, 529L}) CHECK(judged(http(status)).fate == Fate::again);
  for (long const status : {400L, 403L, 405L, 413L, 422L, 451L}) CHECK(judged(http(status)).fate == Fate::refused);
  for (long const status : {301L, 302L, 307L, 308L, 401L, 404L}) CHECK(judged(http(status)).fate == Fate::hopeless);
  for (long const status : {429L, 503L}) CHECK(judged(http(status)).overloaded);
  CHECK_FALSE(judged(http(500)).overloaded);
}

TEST_CASE("how a try can end below HTTP") {
  auto const verdict = [](Delivery delivery) {
    return judged({.delivery = delivery, .detail = "Unsupported protocol"});
  };
  CHECK(verdict(Delivery::unknown_host).reason == "the host's name is not known");
  CHECK(verdict(Delivery::timeout).reason == "no answer within 30 s");
  for (Delivery const delivery :
       {Delivery::unknown_host, Delivery::no_connection, Delivery::timeout, Delivery::cut, Delivery::no_tls})
    CHECK(verdict(delivery).fate == Fate::again);
  for (Delivery const delivery : {Delivery::unknown_host, Delivery::no_connection}) CHECK(verdict(delivery).overloaded);
  CHECK(verdict(Delivery::too_large).fate == Fate::refused);
  CHECK(verdict(Delivery::too_large).reason == "the answer is larger than 64.0 MiB");
  CHECK(verdict(Delivery::bad_certificate).fate == Fate::hopeless);
  CHECK(verdict(Delivery::unusable).fate == Fate::hopeless);
  CHECK(verdict(Delivery::unusable).reason == "no HTTP reply can be had: Unsupported protocol");
}

TEST_CASE("a used-up quota and a long pause are no reasons to try again") {
  CHECK(judged(http(429, R"({"error": {"code": "insufficient_quota"}})")).fate == Fate::hopeless);
  CHECK(judged(http(429, R"({"error": {"type": "insufficient_quota", "code": 3}})")).fate == Fate::hopeless);
  CHECK(judged(http(429, R"({"error": {"type": "requests", "code": null}})")).fate == Fate::again);
  CHECK(judged(http(429, R"(["insufficient_quota"])")).fate == Fate::again);
  CHECK(judged(http(429, "", longest_retry_after)).fate == Fate::again);
  CHECK(judged(http(429, "", longest_retry_after + 1)).fate == Fate::hopeless);
}

TEST_CASE("the key is hidden before a reason is cut short") {
  std::string const body = R"({"error": {"message": ")" + std::string(190, 'x') + R"(sk-placeholder-17"}})";
  CHECK(judged(http(400, body)).reason == "HTTP 400: " + std::string(190, 'x') + "***");
  // Written with escapes it is the same key.
  CHECK(judged(http(400, R"({"error": {"message": "\u0073k-placeholder-17"}})")).reason == "HTTP 400: ***");
  Reply moved = http(307);
  moved.redirect = "https://sk-placeholder-17.example/";
  CHECK(judged(moved).reason == "HTTP 307, to https://***.example/");
}

TEST_CASE("pauses double up to a minute, with a share that is random and repeatable") {
  std::set<double> shares;
  for (int tries = 1; tries <= 40; ++tries) {
    double const most = std::min(60.0, tries < 20 ? 0.5 * (1 << (tries - 1)) : 60.0);
    double const pause = pause_after(tries, 0.5, 0, "row-1");
    CHECK(pause > most / 2);
    CHECK(pause <= most);
    CHECK(pause == pause_after(tries, 0.5, 0, "row-1"));
    shares.insert(pause / most);
  }
  CHECK(shares.size() == 40);
  CHECK(pause_after(1, 0.5, 0, "row-1") != pause_after(1, 0.5, 0, "row-2"));
}

TEST_CASE("a pause is no shorter than the server asks for") {
  for (int i = 0; i < 100; ++i) {
    double const pause = pause_after(1, 1, 30, "row-" + std::to_string(i));
    CHECK(pause >= 30);
    CHECK(pause < 31);
  }
  CHECK(pause_after(10, 1, 1, "a") >= 30);
}
