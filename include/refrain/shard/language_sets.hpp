#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace refrain::shard {

/// One configuration: which languages, and how many rows of each.
struct LanguageSet {
  bool any_language = false;  ///< every row is taken; `languages` is empty
  std::vector<std::string>
      languages;          ///< equal numbers of each: the smallest language's count, unless one of these says else
  std::string total_of;   ///< as many rows in all as this other set gives, spread evenly
  std::string repeat_to;  ///< rows repeated until there are as many as this other set gives
};

/// The configurations that `--configuration` names: those of src/shard/language_sets.json, and a user's own file of the
/// same form, whose sets win over ours of the same name.
class LanguageSets {
public:
  /// @param own a user's file, or empty. @throws Error naming file and key
  static LanguageSets load(std::filesystem::path const& own);

  /// @throws UsageError listing the names that there are
  LanguageSet const& find(std::string const& name) const;
  /// All languages whose rows decide what the set takes: its own, and those of the set that it is measured against.
  std::vector<std::string> languages_needed(std::string const& name) const;

private:
  void add_file(std::filesystem::path const& path);
  void check_references(std::filesystem::path const& path) const;

  std::map<std::string, LanguageSet> sets_;
};

}  // namespace refrain::shard
