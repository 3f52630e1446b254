#include "fixtures.hpp"

#include <refrain/shard/rows.hpp>
#include <refrain/shard/shard_row.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::shard;
using namespace refrain::testing;

namespace {

Place const place{.file = "pairs.jsonl", .object = "line 3"};

Parts<std::string> text_parts(std::string const& chosen, std::string const& rejected) {
  return std::get<Parts<std::string>>(
      parse_pair(Json{{"chosen", chosen}, {"rejected", rejected}}, PromptForm::implicit_prompt, place));
}

Json turn(std::string const& role, std::string const& content) { return {{"role", role}, {"content", content}}; }

}  // namespace

// What TRL 1.16's extract_prompt gives for each; the live comparison is tests/peers/test_shard_trl.py.
TEST_CASE("an implicit prompt in plain text ends where the answers part") {
  auto parts = text_parts("The sky is blue.", "The sky is green.");
  CHECK(parts.prompt == "The sky is");
  CHECK(parts.chosen == " blue.");
  CHECK(parts.rejected == " green.");

  parts = text_parts("čas é", "čas è");  // differ inside a code point: é and è share their first byte
  CHECK(parts.prompt == "čas");
  CHECK(parts.chosen == " é");

  parts = text_parts("same", "same");  // the last character stays with the answers
  CHECK(parts.prompt == "sam");
  CHECK(parts.chosen == "e");

  parts = text_parts("abc", "abcdef");
  CHECK(parts.prompt == "ab");
  CHECK(parts.rejected == "cdef");

  CHECK(text_parts("x ", "y").prompt.empty());
}

TEST_CASE("an implicit prompt in turns is the turns in common") {
  Json const user = turn("user", "restricted activity 17?"), system = turn("system", "Be brief.");
  Json const row{{"chosen", {system, user, turn("assistant", "No.")}},
                 {"rejected", {system, user, turn("assistant", "Yes.")}}};
  REQUIRE(prompt_form(row) == PromptForm::implicit_prompt);
  auto const parts = std::get<Parts<Turns>>(parse_pair(row, PromptForm::implicit_prompt, place));
  CHECK(parts.prompt.size() == 2);
  CHECK(parts.chosen.at(0).content == "No.");
  CHECK(parts.rejected.at(0).content == "Yes.");

  // A prompt given as text beside whole conversations is for people to read.
  Json with_text = row;
  with_text["prompt"] = "restricted activity 17?";
  CHECK(std::get<Parts<Turns>>(parse_pair(with_text, PromptForm::explicit_prompt, place)).prompt.size() == 2);

  Json const apart{{"chosen", {turn("user", "a"), turn("assistant", "No.")}}, {"rejected", {turn("user", "b")}}};
  CHECK(problem_of([&] { parse_pair(apart, PromptForm::implicit_prompt, place); }) ==
        "chosen and rejected have no turn in common, so there is no prompt");
}

TEST_CASE("ready token ids come first, and odd numbers become ids that no vocabulary has") {
  Json const row{
      {"prompt", "read me"}, {"prompt_ids", {1, 2}}, {"chosen_ids", {3}}, {"rejected_ids", {-7, 5000000000}}};
  REQUIRE(prompt_form(row) == PromptForm::token_ids);
  auto const ids = std::get<Parts<TokenIds>>(parse_pair(row, PromptForm::token_ids, place));
  CHECK(ids.prompt == TokenIds{1, 2});
  CHECK(ids.rejected == TokenIds{-7, 2147483647});
}

TEST_CASE("labels: what must be there and of which type") {
  Json const row{{"lang", "de"}, {"row_id", 12}, {"category", "S1"}, {"id", 7}, {"style", nullptr}};
  auto const labels = parse_labels(row, LabelColumns::required, 3, place);
  CHECK(labels.row_id == 12);
  CHECK(labels.language == "de");
  CHECK(labels.id == "7");
  CHECK(labels.style.empty());
  CHECK(parse_labels(Json::object(), LabelColumns::optional, 3, place).row_id == 3);
  auto const problem = [](Json const& json, LabelColumns columns) {
    return problem_of([&] { parse_labels(json, columns, 3, place); });
  };
  CHECK(problem(Json::object(), LabelColumns::required) == "column lang is missing");
  CHECK(problem({{"lang", "de"}}, LabelColumns::required) == "column row_id is missing");
  CHECK(problem({{"lang", "de"}, {"row_id", 1}}, LabelColumns::required) == "column category is missing");
  CHECK(problem({{"lang", "de"}}, LabelColumns::language_required) == "nothing was thrown");
  CHECK(problem({{"lang", 1}}, LabelColumns::optional) == "column lang is of type number, a string is wanted");
  CHECK(problem({{"row_id", "1"}}, LabelColumns::optional) == "column row_id is of type string, an integer is wanted");
  CHECK(problem({{"lang", ""}}, LabelColumns::language_required) == "column lang is empty");
}

TEST_CASE("wrong rows are named by column") {
  auto const problem = [](Json const& json, PromptForm form) {
    return problem_of([&] { parse_pair(json, form, place); });
  };
  CHECK(problem({{"rejected", "b"}}, PromptForm::implicit_prompt) == "column chosen is missing");
  CHECK(problem({{"chosen", 1}, {"rejected", "b"}}, PromptForm::implicit_prompt) ==
        "column chosen is of type number, a string or a list of turns is wanted");
  CHECK(problem({{"chosen", "a"}, {"rejected", "b"}}, PromptForm::explicit_prompt) ==
        "column prompt is missing, though the file's first row has it");
  CHECK(problem({{"prompt", "p"}, {"chosen", "a"}, {"rejected", {turn("user", "b")}}}, PromptForm::explicit_prompt) ==
        "column rejected is of type array, a string is wanted");
  CHECK(problem({{"chosen", {turn("user", "a"), {{"role", "user"}}}}, {"rejected", {turn("user", "b")}}},
                PromptForm::implicit_prompt) == "column chosen[1] has no content");
  CHECK(problem({{"chosen", "a"}, {"rejected", "b"}, {"tools", {1}}}, PromptForm::implicit_prompt) ==
        "column tools is not empty, and the chat templates here do not render it");
}

TEST_CASE("prompts: a string, turns or messages; the last user turn is their text") {
  CHECK(std::get<Turns>(parse_prompt({{"prompt", ""}}, place).content).at(0).content.empty());
  auto const prompt =
      parse_prompt({{"messages", {turn("user", "a"), turn("assistant", "b"), turn("user", "c")}}}, place);
  CHECK(std::get<Turns>(prompt.content).size() == 3);
  CHECK(prompt.text == "c");
  CHECK(prompt.turns ==
        R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}])");
  CHECK(parse_prompt({{"prompt", "one turn says it all"}}, place).turns.empty());
  CHECK(parse_prompt({{"prompt", ""}}, place).turns == R"([{"role":"user","content":""}])");
  CHECK(parse_prompt({{"prompt_ids", {1}}}, place).turns.empty());
  CHECK(std::get<TokenIds>(parse_prompt({{"prompt", "as given"}, {"prompt_ids", {1}}}, place).content) == TokenIds{1});
  CHECK(problem_of([] { parse_prompt(Json::object(), place); }) == "column prompt is missing");
  CHECK(problem_of([] { parse_prompt({{"prompt", Json::array()}}, place); }) == "column prompt has no turns");
}

TEST_CASE("rows travel between ranks unchanged") {
  ShardRow row;
  row.labels = {.row_id = -5, .id = "a", .language = "lv", .category = "", .style = std::string("nul\0byte", 8)};
  row.wanted = true;
  row.tokens = {.ids = {{1, 2}, {}, {3}}, .chosen_cut = true, .drop = Drop::empty_answer};
  row.text = "čau";
  row.turns = "[]";
  std::string bytes;
  pack_row(row, bytes);
  pack_row({}, bytes);
  std::vector<ShardRow> rows;
  unpack_rows(bytes, rows);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].labels.style == row.labels.style);
  CHECK(rows[0].labels.row_id == -5);
  CHECK(rows[0].tokens.ids.rejected == TokenIds{3});
  CHECK(rows[0].tokens.chosen_cut);
  CHECK(rows[0].tokens.drop == Drop::empty_answer);
  CHECK(rows[0].text == "čau");
  CHECK(rows[0].turns == "[]");
  CHECK_FALSE(rows[1].wanted);
}
