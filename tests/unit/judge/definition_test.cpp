#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/judge/definition.hpp>
#include <refrain/judge/reading.hpp>

using namespace refrain;
using namespace refrain::judge;
using namespace refrain::testing;

namespace {

Json safety() {
  return Json::parse(R"({"name": "own", "kind": "safety",
    "ask": {"system": "Judge.", "user": ["Q: {prompt}", "A: {response}"], "max_tokens": 8},
    "read": {"label": {"line": 1, "values": {"ok": "safe", "bad": "unsafe"}}}})");
}

/// The line that refuses `json`; {file} stands for its path, and the form's remedy is left out.
std::string refused(Json const& json) {
  TemporaryFolder const folder;
  auto const path = folder.write_json("own.json", json).string();
  std::string line = message_of([&] { Definition::load(path); });
  if (auto const at = line.find(path); at != std::string::npos) line.replace(at, path.size(), "{file}");
  std::string const remedy = " (see docs/judges.md for the form)";
  if (line.ends_with(remedy)) line.resize(line.size() - remedy.size());
  return line;
}

/// `safety()` with the value at `pointer` replaced.
Json with(char const* pointer, Json const& value) {
  Json json = safety();
  json[Json::json_pointer(pointer)] = value;
  return json;
}
Json without(char const* object, char const* key) {
  Json json = safety();
  json[Json::json_pointer(object)].erase(key);
  return json;
}

}  // namespace

TEST_CASE("every shipped judge can be read") {
  std::map<std::string, Kind> const shipped{{"llama-guard-3", Kind::safety},   {"polyguard", Kind::safety},
                                            {"adjudicator", Kind::safety},     {"fluency", Kind::rubric},
                                            {"correctness", Kind::rubric},     {"language", Kind::language},
                                            {"refusal-pattern", Kind::refusal}};
  for (auto const& [name, kind] : shipped) {
    Definition const definition = Definition::load(name);
    CHECK(definition.name == name);
    CHECK(definition.kind == kind);
  }
  CHECK(Definition::load("llama-guard-3").question->answer_begins == "\n\n");
  CHECK(Definition::load("refusal-pattern").phrases.size() == 12);
  CHECK(message_of([] { Definition::load("polygard"); }) ==
        "--judge polygard: there is no judge of this name (it is one of adjudicator, correctness, fluency, language, "
        "llama-guard-3, polyguard, refusal-pattern, merge, or a file of your own, FILE.json)");
  CHECK(message_of([] { Definition::load("/nowhere/own.json"); }) ==
        "--judge names a file that does not exist [/nowhere/own.json] (check the path)");
}

TEST_CASE("a file of one's own is a judge") {
  TemporaryFolder const folder;
  Definition const definition = Definition::load(folder.write_json("own.json", safety()).string());
  CHECK(definition.question->user == "Q: {prompt}\nA: {response}");
  CHECK(definition.made_for.empty());
  CHECK(read_answer(definition.answers, "BAD\n").unsafe == true);
}

TEST_CASE("what is not of the form is refused, and its place named") {
  CHECK(refused(with("/reads", 1)) == "there is no 'reads' in 'judge' [{file}:reads]");
  CHECK(refused(Json::array()) == "'judge' should be an object [{file}:judge]");
  CHECK(refused(without("", "name")) == "'name' is missing, should be a string [{file}:name] (correct the file)");
  CHECK(refused(with("/name", "my judge")) ==
        "the name 'my judge' is not of small letters, digits, -, _ and . [{file}:name]");
  CHECK(refused(with("/name", "../x")) == "the name '../x' is not of small letters, digits, -, _ and . [{file}:name]");
  CHECK(refused(with("/kind", "toxicity")) ==
        "the kind 'toxicity' is none of safety, refusal, rubric, language [{file}:kind]");
  CHECK(refused(without("", "ask")) == "'ask' is missing [{file}:ask]");
  CHECK(refused(without("", "read")) == "'read' is missing [{file}:read]");
  CHECK(refused(with("/made_for", "en")) ==
        "'made_for' is \"en\", should be a list of strings [{file}:made_for] (correct the file)");
}

TEST_CASE("a question that cannot be asked is refused") {
  CHECK(refused(without("/ask", "max_tokens")) ==
        "'max_tokens' is missing, should be a whole number [{file}:max_tokens] (correct the file)");
  CHECK(refused(with("/ask/max_tokens", 0)) == "'max_tokens' should be at least 1 [{file}:max_tokens]");
  CHECK(refused(without("/ask", "user")) == "'ask' should have one of 'guard_template' and 'user' [{file}:ask]");
  CHECK(refused(with("/ask/guard_template", "polyguard")) ==
        "'ask' should have one of 'guard_template' and 'user' [{file}:ask]");
  CHECK(refused(with("/ask", {{"guard_template", "polyguard"}, {"system", "x"}, {"max_tokens", 1}})) ==
        "a guard's template has the whole text: 'system' and 'user_without_prompt' have no place [{file}:ask]");
  CHECK(refused(with("/ask/user", "{answer}")) ==
        "there is no placeholder {answer}; there are {prompt}, {response} and {language} [{file}:user]");
  CHECK(refused(with("/ask/user", "{prompt}")) == "'user' does not show the {response} [{file}:user]");
  CHECK(refused(with("/ask/user_without_prompt", "{prompt} {response}")) ==
        "'user_without_prompt' shows the {prompt} [{file}:user_without_prompt]");
}

TEST_CASE("an answer that cannot be read is refused") {
  CHECK(refused(with("/read", Json::object())) ==
        "a judge of safety should read 'label' or 'label_tokens' [{file}:read]");
  CHECK(refused(with("/kind", "rubric")) == "a rubric should read 'score' [{file}:read]");
  CHECK(refused(with("/kind", "refusal")) == "a judge of refusals should read 'refusal' [{file}:read]");
  CHECK(refused(with("/read/label/line", 0)) ==
        "'label' should have one of 'line' (from 1) and 'field' [{file}:label]");
  CHECK(refused(with("/read/label/field", "x")) ==
        "'label' should have one of 'line' (from 1) and 'field' [{file}:label]");
  CHECK(refused(with("/read/label/values/bad", "harmful")) == "'bad' should mean safe or unsafe [{file}:label.values]");
  CHECK(refused(with("/read/label/values", {{"ok", "safe"}})) ==
        "'values' should have words for safe and for unsafe [{file}:label.values]");
  CHECK(refused(with("/read/label_tokens", {{"safe", "a"}, {"unsafe", "a"}})) ==
        "both label tokens are 'a' [{file}:label_tokens]");
  Json own = with("/read/label_tokens", {{"safe", "a"}, {"unsafe", "b"}});
  own["read"]["refusal"] = {{"line", 1}, {"values", {{"a", "answer"}, {"b", "refusal"}}}};
  CHECK(refused(own) ==
        "'refusal' cannot be read beside 'label_tokens': of a safe answer no more than the token is there "
        "[{file}:refusal]");
  own["kind"] = "refusal";
  CHECK(refused(own) == "'label_tokens' are for the kind safety [{file}:label_tokens]");
  for (auto const& [least, most] : {std::pair(5, 5), std::pair(-1, 5), std::pair(1, 10)})
    CHECK(refused(with("/read/score", {{"line", 1}, {"least", least}, {"most", most}})) ==
          "'least' should be at least 0 and below 'most', which should be at most 5 [{file}:score]");
}

TEST_CASE("phrases go alone") {
  Json const phrases = {{"en", {"I cannot"}}};
  CHECK(refused(with("/phrases", phrases)) == "'phrases' are for the kind refusal [{file}:phrases]");
  Json own = {{"name", "own"}, {"kind", "refusal"}, {"phrases", phrases}};
  CHECK(refused(own) ==
        "'phrases' and 'phrases_within' (characters, at least 1) belong together [{file}:phrases_within]");
  own["phrases_within"] = 50;
  CHECK(refused(own) == "nothing was thrown");
  own["phrases"]["de"] = Json::array();
  CHECK(refused(own) == "the phrases of 'de' should be texts that are not empty [{file}:phrases.de]");
  own["phrases"] = phrases;
  own["ask"] = safety()["ask"];
  CHECK(refused(own) == "'ask' and 'phrases' exclude each other [{file}:phrases]");
  CHECK(refused({{"name", "own"}, {"kind", "language"}, {"read", safety()["read"]}}) ==
        "nothing is asked, so 'read' has no place [{file}:read]");
}
