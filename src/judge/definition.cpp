#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/judge/definition.hpp>

#include "placeholders.hpp"

#include <algorithm>
#include <set>

namespace refrain::judge {
namespace {

namespace fs = std::filesystem;

char const* const see_form = "see docs/judges.md for the form";

/// Reads one file.
class DefinitionReader {
public:
  explicit DefinitionReader(fs::path path) : path_(std::move(path)) {}

  Definition read() const {
    Json const json = read_json(path_);
    require_keys(json, "judge", {"name", "about", "kind", "made_for", "ask", "read", "phrases", "phrases_within"});
    Definition definition;
    definition.path = path_;
    definition.name = json_get<std::string>(json, "name", path_);
    require_name(definition.name);
    definition.kind = read_kind(json_get<std::string>(json, "kind", path_));
    definition.made_for = json_get_or<std::vector<std::string>>(json, "made_for", {}, path_);
    if (json.contains("ask")) definition.question = read_question(json["ask"]);
    if (json.contains("read")) definition.answers = read_answers(json["read"], definition.kind);
    if (json.contains("phrases")) definition.phrases = read_phrases(json["phrases"]);
    definition.phrases_within = json_get_or<int64_t>(json, "phrases_within", 0, path_);
    check(definition);
    return definition;
  }

private:
  Error wrong(std::string const& problem, std::string const& key) const {
    return Error(problem, see_form, {.file = path_, .object = key});
  }

  /// A misspelt key would change what is read, in silence.
  void require_keys(Json const& object, std::string const& name, std::set<std::string> const& known) const {
    if (!object.is_object()) throw wrong("'" + name + "' should be an object", name);
    for (auto const& [key, value] : object.items())
      if (!known.contains(key)) throw wrong("there is no '" + key + "' in '" + name + "'", key);
  }

  /// It is the name of a group in verdict files.
  void require_name(std::string const& name) const {
    bool const plain = std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    });
    if (name.empty() || !plain || name.front() == '.')
      throw wrong("the name '" + name + "' is not of small letters, digits, -, _ and .", "name");
  }

  Kind read_kind(std::string const& text) const {
    for (auto const& [kind, name] : EnumChoices<Kind>::choices)
      if (text == name) return kind;
    throw wrong("the kind '" + text + "' is none of safety, refusal, rubric, language", "kind");
  }

  /// A text, or a list of its lines.
  std::string text_of(Json const& object, std::string const& key) const {
    if (!object.contains(key)) return {};
    if (object[key].is_string()) return object[key].get<std::string>();
    return joined(json_get<std::vector<std::string>>(object, key, path_), "\n");
  }

  void require_placeholders(std::string const& text, std::string const& key, std::string const& needed) const {
    bool found = needed.empty();
    for (auto const& name : placeholders_of(text)) {
      if (name != "prompt" && name != "response" && name != "language")
        throw wrong("there is no placeholder {" + name + "}; there are {prompt}, {response} and {language}", key);
      found = found || name == needed;
    }
    if (!found) throw wrong("'" + key + "' does not show the {" + needed + "}", key);
  }

  Question read_question(Json const& json) const {
    require_keys(json, "ask",
                 {"guard_template", "answer_begins", "system", "user", "user_without_prompt", "max_tokens"});
    Question question{.guard_template = json_get_or<std::string>(json, "guard_template", "", path_),
                      .answer_begins = json_get_or<std::string>(json, "answer_begins", "", path_),
                      .system = text_of(json, "system"),
                      .user = text_of(json, "user"),
                      .user_without_prompt = text_of(json, "user_without_prompt"),
                      .max_tokens = json_get<int64_t>(json, "max_tokens", path_)};
    if (question.max_tokens < 1) throw wrong("'max_tokens' should be at least 1", "max_tokens");
    if (question.guard_template.empty() == question.user.empty())
      throw wrong("'ask' should have one of 'guard_template' and 'user'", "ask");
    if (!question.guard_template.empty()) {
      if (!question.system.empty() || !question.user_without_prompt.empty())
        throw wrong("a guard's template has the whole text: 'system' and 'user_without_prompt' have no place", "ask");
      return question;
    }
    require_placeholders(question.system, "system", "");
    require_placeholders(question.user, "user", "response");
    if (question.user_without_prompt.empty()) return question;
    require_placeholders(question.user_without_prompt, "user_without_prompt", "response");
    auto const shown = placeholders_of(question.user_without_prompt);
    if (std::find(shown.begin(), shown.end(), "prompt") != shown.end())
      throw wrong("'user_without_prompt' shows the {prompt}", "user_without_prompt");
    return question;
  }

  Spot read_spot(Json const& json, std::string const& name) const {
    Spot const spot{.line = json_get_or<int>(json, "line", 0, path_),
                    .field = json_get_or<std::string>(json, "field", "", path_)};
    if ((spot.line > 0) == !spot.field.empty() || spot.line < 0)
      throw wrong("'" + name + "' should have one of 'line' (from 1) and 'field'", name);
    return spot;
  }

  /// `values` names for each word of the answer which of `meanings` it has: that for false or that for true.
  Words read_words(Json const& json, std::string const& name, std::pair<char const*, char const*> meanings) const {
    require_keys(json, name, {"line", "field", "values"});
    Words words{.spot = read_spot(json, name)};
    Json const values = json_get<Json>(json, "values", path_);
    bool has_false = false, has_true = false;
    for (auto const& [word, meaning] : values.items()) {
      bool const is_true = meaning == meanings.second;
      if (!is_true && meaning != meanings.first)
        throw wrong("'" + word + "' should mean " + meanings.first + " or " + meanings.second, name + ".values");
      words.values[lower_case(word)] = is_true;
      (is_true ? has_true : has_false) = true;
    }
    if (!has_false || !has_true)
      throw wrong(std::string("'values' should have words for ") + meanings.first + " and for " + meanings.second,
                  name + ".values");
    return words;
  }

  Score read_score(Json const& json) const {
    require_keys(json, "score", {"line", "field", "least", "most"});
    Score const score{.spot = read_spot(json, "score"),
                      .least = json_get<int>(json, "least", path_),
                      .most = json_get<int>(json, "most", path_)};
    if (score.least < 0 || score.least >= score.most || score.most > 5)  // what verdicts.v1 has room for
      throw wrong("'least' should be at least 0 and below 'most', which should be at most 5", "score");
    return score;
  }

  Answers read_answers(Json const& json, Kind kind) const {
    require_keys(json, "read", {"label_tokens", "label", "refusal", "categories", "score"});
    Answers answers;
    if (json.contains("label_tokens")) {
      require_keys(json["label_tokens"], "label_tokens", {"safe", "unsafe"});
      answers.label_tokens = LabelTokens{json_get<std::string>(json["label_tokens"], "safe", path_),
                                         json_get<std::string>(json["label_tokens"], "unsafe", path_)};
      if (answers.label_tokens->safe == answers.label_tokens->unsafe)
        throw wrong("both label tokens are '" + answers.label_tokens->safe + "'", "label_tokens");
    }
    if (json.contains("label")) answers.label = read_words(json["label"], "label", {"safe", "unsafe"});
    if (json.contains("refusal")) answers.refusal = read_words(json["refusal"], "refusal", {"answer", "refusal"});
    if (json.contains("categories")) {
      require_keys(json["categories"], "categories", {"line", "field", "none"});
      answers.categories = Categories{.spot = read_spot(json["categories"], "categories"),
                                      .none = json_get_or<std::string>(json["categories"], "none", "", path_)};
    }
    if (json.contains("score")) answers.score = read_score(json["score"]);
    if (kind == Kind::safety && !answers.label && !answers.label_tokens)
      throw wrong("a judge of safety should read 'label' or 'label_tokens'", "read");
    if (kind == Kind::rubric && !answers.score) throw wrong("a rubric should read 'score'", "read");
    if (kind == Kind::refusal && !answers.refusal) throw wrong("a judge of refusals should read 'refusal'", "read");
    return answers;
  }

  std::map<std::string, std::vector<std::string>> read_phrases(Json const& json) const {
    if (!json.is_object() || json.empty()) throw wrong("'phrases' should name at least one language", "phrases");
    std::map<std::string, std::vector<std::string>> phrases;
    for (auto const& [language, list] : json.items()) {
      phrases[language] = json_get<std::vector<std::string>>(json, language, path_);
      auto const& all = phrases[language];
      if (all.empty() || std::find(all.begin(), all.end(), "") != all.end())
        throw wrong("the phrases of '" + language + "' should be texts that are not empty", "phrases." + language);
    }
    return phrases;
  }

  /// What belongs together.
  void check(Definition const& definition) const {
    bool const by_phrases = !definition.phrases.empty();
    if (by_phrases && definition.kind != Kind::refusal) throw wrong("'phrases' are for the kind refusal", "phrases");
    if (by_phrases && definition.question) throw wrong("'ask' and 'phrases' exclude each other", "phrases");
    if (by_phrases != (definition.phrases_within > 0))
      throw wrong("'phrases' and 'phrases_within' (characters, at least 1) belong together", "phrases_within");
    bool const asks = !by_phrases && definition.kind != Kind::language;
    if (definition.question.has_value() != asks)
      throw wrong(asks ? "'ask' is missing" : "nothing is asked, so 'ask' has no place", "ask");
    bool const reads = definition.answers.label_tokens || definition.answers.label || definition.answers.refusal ||
                       definition.answers.categories || definition.answers.score;
    if (definition.answers.label_tokens && definition.kind != Kind::safety)
      throw wrong("'label_tokens' are for the kind safety", "label_tokens");
    if (definition.answers.label_tokens && definition.answers.refusal)
      throw wrong("'refusal' cannot be read beside 'label_tokens': of a safe answer no more than the token is there",
                  "refusal");
    if (asks != reads) throw wrong(asks ? "'read' is missing" : "nothing is asked, so 'read' has no place", "read");
  }

  fs::path path_;
};

}  // namespace

Definition Definition::load(std::string const& choice) {
  if (choice.ends_with(".json")) {
    require_readable_file(choice, "--judge");
    return DefinitionReader(choice).read();
  }
  auto const shipped = data_files_beside("judge/judges/llama-guard-3.json");
  if (auto const found = shipped.find(choice); found != shipped.end()) return DefinitionReader(found->second).read();
  throw UsageError("--judge " + choice + ": there is no judge of this name",
                   "it is one of " + joined(shipped | std::views::keys) + ", merge, or a file of your own, FILE.json");
}

}  // namespace refrain::judge
