#include <refrain/shard/language_sets.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/json_file.hpp>

#include <algorithm>
#include <set>

namespace refrain::shard {
namespace {

Error bad_set(std::string const& problem, std::filesystem::path const& path, std::string const& name) {
  return Error(
      problem,
      R"(a set is {"languages": ["en", "de"]} or {"languages": "any"}, with "total_of" or "repeat_to" naming another)",
      {.file = path, .object = "sets." + name});
}

std::string optional_name(Json const& value, std::string const& key, std::filesystem::path const& path,
                          std::string const& name) {
  if (!value.contains(key)) return {};
  if (!value[key].is_string()) throw bad_set(key + " is not a string", path, name);
  return value[key].get<std::string>();
}

LanguageSet read_set(Json const& value, std::filesystem::path const& path, std::string const& name) {
  if (!value.is_object()) throw bad_set("the set is not an object", path, name);
  for (auto const& [key, unused] : value.items())
    if (key != "about" && key != "languages" && key != "total_of" && key != "repeat_to")
      throw bad_set("unknown key " + key, path, name);
  LanguageSet set{.total_of = optional_name(value, "total_of", path, name),
                  .repeat_to = optional_name(value, "repeat_to", path, name)};
  if (!set.total_of.empty() && !set.repeat_to.empty())
    throw bad_set("total_of and repeat_to exclude each other", path, name);
  if (!value.contains("languages")) throw bad_set("languages is missing", path, name);
  Json const& languages = value["languages"];
  if (languages == "any") {
    set.any_language = true;
    if (!set.total_of.empty() || !set.repeat_to.empty())
      throw bad_set("a set of any language cannot be measured against another", path, name);
    return set;
  }
  if (!languages.is_array() || languages.empty()) throw bad_set("languages is not a list of codes", path, name);
  std::set<std::string> seen;
  for (Json const& language : languages) {
    if (!language.is_string() || language.get<std::string>().empty())
      throw bad_set("languages is not a list of codes", path, name);
    if (!seen.insert(language.get<std::string>()).second)
      throw bad_set("language " + language.get<std::string>() + " stands twice", path, name);
    set.languages.push_back(language.get<std::string>());
  }
  return set;
}

}  // namespace

LanguageSets LanguageSets::load(std::filesystem::path const& own) {
  LanguageSets sets;
  sets.add_file(data_file("shard/language_sets.json"));
  if (!own.empty()) {
    require_readable_file(own, "--language-sets");
    sets.add_file(own);
  }
  return sets;
}

void LanguageSets::add_file(std::filesystem::path const& path) {
  Json const json = read_json(path);
  if (!json.is_object() || !json.contains("sets") || !json["sets"].is_object())
    throw Error("there is no object \"sets\"", R"(language sets are {"sets": {"NAME": {"languages": ["en", "de"]}}})",
                {.file = path});
  for (auto const& [name, value] : json["sets"].items()) sets_[name] = read_set(value, path, name);
  check_references(path);
}

void LanguageSets::check_references(std::filesystem::path const& path) const {
  for (auto const& [name, set] : sets_)
    for (auto const& other : {set.total_of, set.repeat_to}) {
      if (other.empty()) continue;
      auto const found = sets_.find(other);
      if (found == sets_.end()) throw bad_set("there is no set " + other, path, name);
      // One level only, so that a count never depends on itself.
      if (found->second.any_language || !found->second.total_of.empty() || !found->second.repeat_to.empty())
        throw bad_set("set " + other + " is no plain list of languages, so nothing can be measured against it", path,
                      name);
    }
}

LanguageSet const& LanguageSets::find(std::string const& name) const {
  auto const found = sets_.find(name);
  if (found != sets_.end()) return found->second;
  throw UsageError("--configuration " + name + ": no configuration or language has this name",
                   "it is one of " + joined(sets_ | std::views::keys) +
                       ", or one of your own from --language-sets FILE");
}

std::vector<std::string> LanguageSets::languages_needed(std::string const& name) const {
  LanguageSet const& set = find(name);
  std::vector<std::string> needed = set.languages;
  for (auto const& other : {set.total_of, set.repeat_to}) {
    if (other.empty()) continue;
    for (auto const& language : find(other).languages)
      if (std::find(needed.begin(), needed.end(), language) == needed.end()) needed.push_back(language);
  }
  return needed;
}

}  // namespace refrain::shard
