#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/study/guards.hpp>
#include <refrain/study/model_tensors.hpp>

#include <algorithm>
#include <filesystem>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// refrain-judge's rule: FILE.json is a definition file, anything else a shipped judge's name.
bool is_file(std::string const& judge) { return judge.ends_with(".json"); }

/// The definition of a judge.
fs::path find_definition(std::string const& judge, JudgeSource const& source) {
  if (is_file(judge)) {
    require_readable_file(judge, source.name);
    return judge;
  }
  auto const shipped = data_files_beside("judge/judges/llama-guard-3.json");
  if (auto const found = shipped.find(judge); found != shipped.end()) return found->second;
  throw UsageError(source.name + ": there is no judge '" + judge + "'",
                   "name a definition, FILE.json, or one of " + joined(shipped | std::views::keys));
}

bool is_url(std::string const& text) { return text.starts_with("http://") || text.starts_with("https://"); }

/// A word NAME=MODEL; MODEL is empty where the word is a judge alone.
struct Named {
  std::string judge, model;
};

Named split_name(std::string const& word) {
  auto const equals = word.find('=');
  if (equals == std::string::npos || (is_file(word) && fs::is_regular_file(word))) return {.judge = word, .model = {}};
  return {.judge = word.substr(0, equals), .model = word.substr(equals + 1)};
}

/// What the definition says of itself. refrain-judge checks the rest of it.
Guard describe(std::string const& judge, JudgeSource const& source) {
  auto const file = find_definition(judge, source);
  Json const definition = read_json(file);
  bool const asks = definition.contains("ask");
  return {.name = json_get<std::string>(definition, "name", file),
          .judge = is_file(judge) ? fs::absolute(judge).string() : judge,
          .kind = json_get<std::string>(definition, "kind", file),
          .asks_model = asks,
          .max_tokens = asks ? json_get_or<int64_t>(definition.at("ask"), "max_tokens", 0, file) : 0,
          .model = {}};
}

void give_model(Guard& guard, std::string const& model, JudgeSource const& source) {
  std::string const who = source.name + ": " + guard.name;
  if (!guard.asks_model && guard.kind != "language") {
    if (!model.empty())
      throw UsageError(who + " asks no model and is given one", "write " + source.form(guard.judge, {}));
  } else if (model.empty()) {
    throw UsageError(who + " is given no model",
                     "write " + source.form(guard.judge, guard.asks_model ? "FOLDER" : "lid.176.ftz"));
  } else if (!guard.asks_model) {
    if (!fs::is_regular_file(model))
      throw UsageError(who + "'s language model does not exist", "correct the path", {.file = model});
    guard.model = {"--language-model", fs::absolute(model).string()};
  } else {
    if (!fs::is_directory(model))
      throw UsageError(who + "'s folder does not exist", "name a Hugging Face folder or a checkpoint", {.file = model});
    if (auto const name = lacking_file(model); !name.empty())
      throw UsageError(who + "'s folder has no " + name, download_whole, {.file = model});
    guard.model = {"--checkpoint", fs::absolute(model).string()};
  }
}

bool has(std::vector<Guard> const& guards, std::string const& name) {
  return std::any_of(guards.begin(), guards.end(), [&](Guard const& guard) { return guard.name == name; });
}

}  // namespace

std::string JudgeSource::form(std::string const& judge, std::string const& model) const {
  if (is_key) return dump_text(judge) + ": " + (model.empty() ? "null" : dump_text(model));
  return judge + (model.empty() ? " alone" : "=" + model);
}

std::vector<Guard> read_guards(Words const& words, JudgeSource const& source) {
  std::vector<Guard> guards;
  for (auto const& word : words) {
    auto const named = split_name(word);
    guards.push_back(describe(named.judge, source));
    auto& guard = guards.back();
    give_model(guard, named.model, source);
    if (has({guards.begin(), guards.end() - 1}, guard.name))
      throw UsageError(source.name + " names " + guard.name + " twice", "give each judge a name of its own");
  }
  if (std::none_of(guards.begin(), guards.end(), [](Guard const& guard) { return guard.kind == "safety"; }))
    throw UsageError(source.name + " names no judge of kind safety",
                     "name guards, such as " + source.form("llama-guard-3", "FOLDER"));
  return guards;
}

Guard read_adjudicator(Words const& words, std::vector<Guard> const& guards, JudgeSource const& source) {
  std::string const form = "write [NAME=]FOLDER, or [NAME=]URL MODEL";
  if (words.empty()) throw UsageError(source.name + " is empty", form);
  auto const& word = words.front();
  // A folder's full path, though it is not there, is no judge's name; what stands before NAME.json= is one.
  bool const is_path = word.starts_with("/") && !is_file(word.substr(0, word.find('=')));
  auto named = is_url(word) || is_path || fs::is_directory(word) ? Named{.judge = {}, .model = word} : split_name(word);
  if (named.judge.empty()) named.judge = "adjudicator";
  Guard guard = describe(named.judge, source);
  if (guard.kind != "safety")
    throw UsageError(source.name + ": " + guard.name + " is of kind " + guard.kind + ", not safety",
                     "name a judge of kind safety");
  if (has(guards, guard.name))
    throw UsageError(source.name + ": " + guard.name + " is one of the guards too", "name a judge of another name");
  if (is_url(named.model)) {
    if (words.size() != 2) throw UsageError(source.name + " names no model of the server, or more than one", form);
    guard.model = {"--endpoint", named.model, "--model", words[1]};
    guard.asks_server = true;
    return guard;
  }
  if (words.size() != 1)
    throw UsageError(source.name + " has " + std::to_string(words.size()) + " words for a folder", form);
  give_model(guard, named.model, source);
  return guard;
}

std::string names_of(std::vector<Guard> const& guards) {
  Words names;
  for (auto const& guard : guards) names.push_back(guard.name);
  return join_words(names);
}

void check_deciders(Words const& names, std::vector<Guard> const& guards, std::string const& source) {
  Words known;
  for (auto const& guard : guards)
    if (guard.kind == "safety") known.push_back(guard.name);
  for (auto const& name : names)
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw UsageError(source + ": " + name + " is none of the guards", "name some of: " + join_words(known));
}

}  // namespace refrain::study
