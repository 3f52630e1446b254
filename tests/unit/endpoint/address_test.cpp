#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/endpoint/key.hpp>
#include <refrain/endpoint/url.hpp>

#include <stdlib.h>

using namespace refrain;
using namespace refrain::endpoint;
using namespace refrain::testing;

namespace {

/// REFRAIN_API_KEY within a scope.
struct KeyInEnvironment {
  explicit KeyInEnvironment(char const* key) { ::setenv("REFRAIN_API_KEY", key, 1); }
  ~KeyInEnvironment() { ::unsetenv("REFRAIN_API_KEY"); }
};

}  // namespace

TEST_CASE("a server's address leads to where completions are asked for") {
  auto const completions = [](char const* written) { return Url::parse(written).completions; };
  CHECK(completions("http://node7:8000") == "http://node7:8000/v1/chat/completions");
  CHECK(completions("http://node7:8000/") == "http://node7:8000/v1/chat/completions");
  CHECK(completions("https://API.example/openai/v1/") == "https://api.example/openai/v1/chat/completions");
  CHECK(completions("http://[::1]:8000/v1/chat/completions") == "http://[::1]:8000/v1/chat/completions");
  CHECK(Url::parse("https://api.example/v1").encrypted);
  CHECK_FALSE(Url::parse("http://api.example/v1").encrypted);
}

TEST_CASE("this machine is told from others") {
  for (char const* host : {"localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "[::1]"})
    CHECK(Url::parse(std::string("http://") + host + ":80/v1").local);
  for (char const* host :
       {"localhost.example", "127.0.0.1.example", "notlocalhost", "a.localhost", "128.0.0.1", "0.0.0.0", "[::2]"})
    CHECK_FALSE(Url::parse(std::string("http://") + host + ":80/v1").local);
}

TEST_CASE("a key goes to its own machine, over TLS, or where that was allowed") {
  KeyInEnvironment const set("sk-placeholder-17");
  CHECK(ApiKey::for_url(Url::parse("http://localhost:1/v1"), false).header() ==
        "Authorization: Bearer sk-placeholder-17");
  CHECK(ApiKey::for_url(Url::parse("https://node7/v1"), false).is_set());
  CHECK(ApiKey::for_url(Url::parse("http://node7/v1"), true).is_set());
  CHECK(thrown_by<UsageError>([] { ApiKey::for_url(Url::parse("http://node7/v1"), false); }));
}

TEST_CASE("without a key any machine may be asked in the clear") {
  ::unsetenv("REFRAIN_API_KEY");
  CHECK_FALSE(ApiKey::for_url(Url::parse("http://node7/v1"), false).is_set());
  KeyInEnvironment const empty("");
  CHECK_FALSE(ApiKey::for_url(Url::parse("http://node7/v1"), false).is_set());
}

TEST_CASE("a key is hidden in what a server says") {
  ApiKey const key("sk-placeholder-17");
  CHECK(key.hidden_in("no sk-placeholder-17, sk-placeholder-17sk-placeholder-17!") == "no ***, ******!");
  CHECK(ApiKey("").hidden_in("anything") == "anything");
  CHECK(ApiKey("*").hidden_in("a*b") == "a***b");
  CHECK(key.stands_in("it is sk-placeholder-17"));
  CHECK_FALSE(key.stands_in("sk-placeholder-1"));
  CHECK_FALSE(ApiKey("EMPTY").stands_in("EMPTY"));
}
