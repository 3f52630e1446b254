#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/endpoint/chat.hpp>

using namespace refrain;
using namespace refrain::endpoint;
using namespace refrain::testing;

TEST_CASE("a request is sent as its texts are, or not at all") {
  Request request{.custom_id = "row-1", .messages = {{"user", "\"ž\"\n"}}};
  CHECK(request_text(request, {.model = "m"}) == R"({"model":"m","messages":[{"role":"user","content":"\"ž\"\n"}]})");
  request.messages[0].content = "a\xff";
  CHECK(message_of([&] { request_text(request, {.model = "m"}); }) ==
        "a text of the request is not UTF-8 [request row-1] (make the prompts again from files in UTF-8)");
  CHECK_THROWS_AS(batch_line(request, {.model = "m"}), Error);
}

TEST_CASE("a line for people is short and is one line") {
  CHECK(short_line(" a\n\tb\r\n\x7f ") == "a b");
  CHECK(short_line("") == "");
  CHECK(short_line(std::string(200, 'x')) == std::string(200, 'x'));
  CHECK(short_line(std::string(201, 'x')) == std::string(197, 'x') + "...");
  // Cut between characters, each of which has two bytes here.
  std::string text = "x";
  for (int i = 0; i < 150; ++i) text += "ž";
  std::string const line = short_line(text);
  CHECK(line.size() == 200);
  CHECK(line.substr(line.size() - 5) == "ž...");
}

TEST_CASE("errors are found in the forms that servers give them") {
  CHECK(error_message(Json::parse(R"({"error": {"message": "a", "type": "t"}})")) == "a");
  CHECK(error_message(Json::parse(R"({"error": "b"})")) == "b");
  CHECK(error_message(Json::parse(R"({"object": "error", "message": "c"})")) == "c");
  CHECK(error_message(Json::parse(R"({"detail": "d"})")) == "d");
  CHECK(error_message(Json::parse(R"({"error": null, "message": "e"})")) == "e");
  CHECK(error_message(Json::parse(R"({"detail": [{"loc": ["body"]}]})")).empty());
  CHECK(error_message(Json::parse(R"([{"message": "f"}])")).empty());
  CHECK(error_message(Json()).empty());
}

TEST_CASE("a completion of another form is refused") {
  Json const sound =
      Json::parse(R"({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "model": "m"})");
  CHECK(read_completion(sound, "a", 1).completions.at(0).text == "x");
  auto const problem = [&](char const* pointer, Json const& value, int64_t n = 1) {
    Json changed = sound;
    changed[Json::json_pointer(pointer)] = value;
    return problem_of([&] { read_completion(changed, "a", n); });
  };
  std::string const no_completion = "the answer is no chat completion: ";
  CHECK(problem("/model", 3) == no_completion + "model is of type number, not a string");
  CHECK(problem("/choices/0/finish_reason", 3) ==
        no_completion + "choices[0].finish_reason is of type number, not a string");
  CHECK(problem("/choices/0/message", "x") == no_completion + "choices[0] has no message");
  CHECK(problem("/choices/0/index", -1) == no_completion + "choices[0] has an index that is none of 1");
  CHECK(problem("/choices", Json::array({sound["choices"][0], sound["choices"][0]}), 3) ==
        no_completion + "it has 2 choices, 3 asked for");
  Json twice = sound["choices"][0];
  twice["index"] = 1u;
  CHECK(problem("/choices", Json::array({twice, twice}), 2) == no_completion + "two of its choices have the index 1");
  CHECK(problem("/choices/0", "text") == no_completion + "choices[0] has no message");
}

TEST_CASE("counts of tokens in another form are none, and the answer counts") {
  auto const usage = [](char const* text) {
    Json body = Json::parse(R"({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]})");
    body["usage"] = Json::parse(text);
    Answer const answer = read_completion(body, "a", 1);
    CHECK(answer.completions.at(0).text == "x");
    return answer.usage;
  };
  auto const counted = usage(R"({"prompt_tokens": 5, "completion_tokens": 0})");
  REQUIRE(counted);
  CHECK(counted->prompt_tokens == 5);
  CHECK(counted->completion_tokens == 0);
  for (char const* text :
       {R"({"prompt_tokens": 5})", R"({"completion_tokens": 5})", R"({"prompt_tokens": -1, "completion_tokens": 5})",
        R"({"prompt_tokens": 5, "completion_tokens": 1.5})", R"({"prompt_tokens": "5", "completion_tokens": null})",
        R"({})", R"([5])", R"("5")", "5", "null"})
    CHECK_FALSE(usage(text));
}

TEST_CASE("how a completion ended is read off the server's word for it") {
  for (char const* reason : {"stop", "eos_token", "stop_sequence"})
    CHECK(ending({.text = "x", .finish_reason = reason}) == Ending::stop);
  CHECK(ending({.text = "x", .finish_reason = "length"}) == Ending::length);
  for (char const* reason : {"content_filter", "tool_calls", "abort", "Stop", ""})
    CHECK(ending({.text = "x", .finish_reason = reason}) == Ending::withheld);
  CHECK(why_withheld({.text = "x", .finish_reason = "content\nfilter"}) ==
        "the server ended the answer by itself (finish_reason content filter)");
}

TEST_CASE("requests are found by custom_id, and each id names one") {
  std::vector<Request> requests{{.custom_id = "a"}, {.custom_id = "b"}};
  RequestIndex const index(requests);
  CHECK(index.find("b") == 1u);
  CHECK_FALSE(index.find("c"));
  requests.push_back({.custom_id = "a"});
  CHECK(problem_of([&] { RequestIndex{requests}; }) == "two requests have the custom_id a");
}
