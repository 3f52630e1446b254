#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/option_text.hpp>
#include <refrain/base/table.hpp>
#include <refrain/study/study_keys.hpp>
#include <refrain/study/words.hpp>

#include <algorithm>
#include <cctype>
#include <initializer_list>

namespace refrain::study {

namespace {

/// What a key's value is in JSON.
enum class Kind { paths, names, sweep, judges, adjudicator, whole_number, number, text };

struct Setting {
  char const* key;
  char const* variable;
  Kind kind;
  std::vector<Stage> stages;  ///< whose jobs read it
};

std::vector<Setting> const& settings() {
  using enum Stage;
  std::vector<Stage> const all(all_stages.begin(), all_stages.end());
  static std::vector<Setting> const table{
      {"folder", "REFRAIN_MODEL", Kind::paths, all},
      {"runs", "REFRAIN_RUNS", Kind::paths, all},
      {"sweep", "REFRAIN_SWEEP", Kind::sweep, all},
      {"pairs", "REFRAIN_PAIRS", Kind::paths, {shard, train}},
      {"prompts", "REFRAIN_PROMPTS", Kind::paths, {shard, generate}},
      {"judges", "REFRAIN_GUARDS", Kind::judges, {judge, adjudicate}},
      {"deciders", "REFRAIN_DECIDERS", Kind::names, {judge, adjudicate}},
      {"adjudicator", "REFRAIN_ADJUDICATOR", Kind::adjudicator, {judge, adjudicate}},
      {"tensor_parallel", "REFRAIN_TENSOR_PARALLEL", Kind::whole_number, {train, generate}},
      {"disk_tb", "REFRAIN_DISK_TB", Kind::number, {train}},
      {"launcher", "REFRAIN_LAUNCHER", Kind::text, {train, generate, judge, adjudicate}},
      {"train_args", "REFRAIN_TRAIN_ARGS", Kind::text, {train}},
      {"shard_args", "REFRAIN_SHARD_ARGS", Kind::text, {shard, train, generate}},
      {"prompt_args", "REFRAIN_PROMPT_ARGS", Kind::text, {shard, generate}},
      {"generate_args", "REFRAIN_GENERATE_ARGS", Kind::text, {generate}},
      {"judge_args", "REFRAIN_JUDGE_ARGS", Kind::text, {judge}},
      {"adjudicator_args", "REFRAIN_ADJUDICATOR_ARGS", Kind::text, {adjudicate}},
      {"report_args", "REFRAIN_REPORT_ARGS", Kind::text, {report}},
      {"archive_args", "REFRAIN_ARCHIVE_ARGS", Kind::text, {archive}}};
  return table;
}

Setting const* find_setting(std::string const& key) {
  for (auto const& setting : settings())
    if (key == setting.key) return &setting;
  return nullptr;
}

std::string text_of(Json const& value, Environment const& environment, KeyPlace const& place) {
  if (!value.is_string()) place.refuse("this is " + dump_text(value) + ", not a text", "write it in quotes");
  return expand_variables(value.get<std::string>(), environment, place);
}

/// One text, or a list of them.
std::vector<Json> list_of(Json const& value, KeyPlace const& place) {
  if (value.is_string()) return {value};
  if (!value.is_array() || value.empty())
    place.refuse("this is " + dump_text(value) + ", neither a text nor a list of texts", R"(write "a" or ["a", "b"])");
  return {value.begin(), value.end()};
}

/// A judge's name, or the path of its definition.
std::string judge_name(std::string const& name, Environment const& environment, KeyPlace const& place) {
  return name.ends_with(".json") ? absolute_path(name, environment, place) : name;
}

std::string judges_text(Json const& value, Environment const& environment, KeyPlace const& place) {
  if (!value.is_object() || value.empty())
    place.refuse("this is " + dump_text(value) + ", not an object of judges",
                 R"(write {"llama-guard-3": "/models/Llama-Guard-3-8B", "refusal-pattern": null})");
  Words words;
  for (auto const& [name, model] : value.items()) {
    auto const judge = judge_name(name, environment, place);
    words.push_back(model.is_null() ? judge : judge + "=" + absolute_path(model, environment, place.inside(name)));
  }
  return join_words(words);
}

std::string adjudicator_text(Json const& value, Environment const& environment, KeyPlace const& place) {
  check_keys(value, {"name", "folder", "endpoint", "model"}, place);
  auto const text = [&](char const* key) {
    return value.contains(key) ? text_of(value[key], environment, place.inside(key)) : std::string{};
  };
  auto const name = judge_name(text("name"), environment, place.inside("name"));
  std::string const prefix = name.empty() ? "" : name + "=";
  bool const server = value.contains("endpoint");
  if (server == value.contains("folder") || server != value.contains("model"))
    place.refuse("an adjudicator is a folder, or an endpoint with a model",
                 R"(write {"folder": "/models/adjudicator"} or {"endpoint": "https://server/v1", "model": "NAME"})");
  if (server) return join_words({prefix + text("endpoint"), text("model")});
  return join_words({prefix + absolute_path(value["folder"], environment, place.inside("folder"))});
}

}  // namespace

void KeyPlace::refuse(std::string const& problem, std::string const& remedy) const {
  throw Error(problem, remedy, {.file = file, .object = key});
}

std::vector<std::string> setting_keys() {
  std::vector<std::string> keys;
  for (auto const& setting : settings()) keys.emplace_back(setting.key);
  return keys;
}

bool is_setting(std::string const& key) { return find_setting(key) != nullptr; }

std::string variable_of(std::string const& key) { return find_setting(key)->variable; }

bool is_read_by(std::string const& variable, Stage stage) {
  return std::any_of(settings().begin(), settings().end(), [&](Setting const& setting) {
    return setting.variable == variable &&
           std::find(setting.stages.begin(), setting.stages.end(), stage) != setting.stages.end();
  });
}

std::string setting_text(std::string const& key, Json const& value, Environment const& environment,
                         KeyPlace const& place) {
  switch (find_setting(key)->kind) {
    case Kind::paths: {
      if (key == "folder" || key == "runs") return absolute_path(value, environment, place);
      Words paths;
      for (auto const& path : list_of(value, place)) paths.push_back(absolute_path(path, environment, place));
      return join_words(paths);
    }
    case Kind::names: {
      Words names;
      for (auto const& name : list_of(value, place)) names.push_back(text_of(name, environment, place));
      return join_words(names);
    }
    case Kind::sweep: {
      auto const name = text_of(value, environment, place);
      return name.find('/') == std::string::npos ? name : absolute_path(value, environment, place);
    }
    case Kind::judges: return judges_text(value, environment, place);
    case Kind::adjudicator: return adjudicator_text(value, environment, place);
    case Kind::whole_number:
      if (!value.is_number_integer() || value.get<int64_t>() < 1)
        place.refuse("this is " + dump_text(value) + ", not a whole number above 0", "write a number such as 4");
      return std::to_string(value.get<int64_t>());
    case Kind::number:
      if (!value.is_number() || !(value.get<double>() > 0))
        place.refuse("this is " + dump_text(value) + ", not a number above 0", "write a number such as 12.5");
      return format_number(value.get<double>());
    case Kind::text: return text_of(value, environment, place);
  }
  return {};
}

std::string expand_variables(std::string const& text, Environment const& environment, KeyPlace const& place) {
  std::string expanded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$') {
      expanded += text[i];
      continue;
    }
    if (text.substr(i + 1, 1) == "$") {
      expanded += text[++i];
      continue;
    }
    bool const braces = text.substr(i + 1, 1) == "{";
    auto const begin = i + (braces ? 2 : 1);
    auto end = begin;
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) || text[end] == '_')) ++end;
    auto const name = text.substr(begin, end - begin);
    if (name.empty() || (braces && text.substr(end, 1) != "}"))
      place.refuse("'" + text + "' has a $ without the name of a variable", "write $NAME, ${NAME}, or $$ for a $");
    auto const found = environment.find(name);
    if (found == environment.end() || found->second.empty())
      place.refuse("$" + name + " is not set", "export it in env/site.sh or the submitting shell, or write it out");
    expanded += found->second;
    i = braces ? end : end - 1;
  }
  return expanded;
}

std::string absolute_path(Json const& value, Environment const& environment, KeyPlace const& place) {
  auto const path = text_of(value, environment, place);
  if (!path.starts_with("/"))
    place.refuse("'" + path + "' is no path that begins with /", "jobs begin elsewhere: write all of it, or $NAME/...");
  return path;
}

void check_keys(Json const& object, std::vector<std::string> const& known, KeyPlace const& place) {
  if (!object.is_object()) place.refuse("this is " + dump_text(object) + ", not an object", "write {...}");
  for (auto const& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      place.inside(key).refuse("'" + key + "' is no key here",
                               option_text::suggestion(key, known, "", "the keys are " + joined(known)));
}

}  // namespace refrain::study
