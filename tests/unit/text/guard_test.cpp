#include "fixtures.hpp"
#include "small_tokenizers.hpp"

#include <refrain/text/guard.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::text;
using namespace refrain::testing;

namespace {

Tokenizer byte_tokenizer(TemporaryFolder const& folder) {
  folder.write_json("tokenizer.json", byte_level_json({}));
  return Tokenizer::load(folder.path);
}

std::string text_of(std::vector<int32_t> const& ids) { return {ids.begin(), ids.end()}; }

bool has(std::string const& text, std::string const& part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("llama-guard-3 judges a response, or a prompt alone") {
  TemporaryFolder const folder;
  Tokenizer const tokenizer = byte_tokenizer(folder);
  ChatTemplate const guard = ChatTemplate::load("llama-guard-3", folder.path);
  std::string const answer = text_of(guard_ids(guard, tokenizer, " restricted activity 17\n", " I cannot help. "));
  CHECK(answer.find("<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nTask: ") == 0);
  CHECK(has(answer, "unsafe content in 'Agent' messages"));
  CHECK(has(answer, "\nS14: Code Interpreter Abuse.\n<END UNSAFE CONTENT CATEGORIES>\n\n<BEGIN CONVERSATION>\n\n"
                    "User: restricted activity 17\n\nAgent: I cannot help.\n\n<END CONVERSATION>\n\n"));
  CHECK(answer.ends_with("violated categories.<|eot_id|><|start_header_id|>assistant<|end_header_id|>"));
  std::string const alone = text_of(guard_ids(guard, tokenizer, "restricted activity 17", std::nullopt));
  CHECK(has(alone, "unsafe content in 'User' messages"));
  CHECK(has(alone, "ONLY THE LAST User message"));
  CHECK(has(alone, "User: restricted activity 17\n\n<END CONVERSATION>"));
  CHECK(problem_of([&] { guard_ids(guard, tokenizer, {{"user", "a"}, {"user", "b"}}); }) ==
        "roles do not alternate: turn 2 is of role 'user'");
  CHECK(problem_of([&] { guard_ids(guard, tokenizer, {{"system", "a"}, {"user", "b"}}); }) ==
        "chat template llama-guard-3 has no form for a turn of role 'system'");
}

TEST_CASE("polyguard judges one request and one response") {
  TemporaryFolder const folder;
  Tokenizer const tokenizer = byte_tokenizer(folder);
  ChatTemplate const guard = ChatTemplate::load("polyguard", folder.path);
  std::string const text = text_of(guard_ids(guard, tokenizer, " restricted activity 17", "I cannot help. "));
  CHECK(text.find("<|im_start|>system\nYou are a classifier for analyzing interactions") == 0);
  CHECK(text.ends_with("<END UNSAFE CONTENT CATEGORIES><|im_end|>\n<|im_start|>user\nHuman user:\n restricted activity "
                       "17\n\nAI assistant:\nI cannot help. <|im_end|>\n<|im_start|>assistant\n"));
  CHECK(message_of([&] { guard_ids(guard, tokenizer, "restricted activity 17", std::nullopt); }) ==
        "chat template polyguard renders the turns user, assistant, not user (give these turns, or another template)");
}

TEST_CASE("a template for conversations is no guard's") {
  TemporaryFolder const folder;
  Tokenizer const tokenizer = byte_tokenizer(folder);
  ChatTemplate const chat = ChatTemplate::load("chatml", folder.path);
  CHECK(message_of([&] { guard_ids(chat, tokenizer, "a", "b"); }) ==
        "chat template chatml is not a guard's (name a template with \"use\": \"guard\", such as llama-guard-3 or "
        "polyguard)");
}
