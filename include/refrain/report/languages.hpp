#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace refrain::report {

/// What the report knows of languages: their order and names, and which judges were made for which
/// (src/report/languages.json); and which training configurations are of one language (src/shard/language_sets.json).
class Languages {
public:
  /// @throws Error for a broken file
  static Languages load();

  /// Whether `a` stands before `b` in tables: the listed ones in their order, others by code, none last.
  bool before(std::string const& a, std::string const& b) const;
  /// "Slovak", or the code itself where none is listed.
  std::string name(std::string const& code) const;
  /// Whether judge `judge`, by the longest listed name that its own begins with, was made for the language; none where
  /// it is not listed.
  std::optional<bool> made_for(std::string const& judge, std::string const& code) const;
  /// The language that a checkpoint of this name was trained on: that of the configuration that the name is, or ends
  /// with behind `-`, `_` or `/` (`de`, `dpo_8b_english_only`). Empty for several languages or none.
  std::string trained_on(std::string const& checkpoint) const;

private:
  std::vector<std::string> order_;
  std::map<std::string, std::string> names_;
  std::map<std::string, std::vector<std::string>> judges_;
  std::map<std::string, std::string> configurations_;  ///< every configuration's only language, or empty
};

}  // namespace refrain::report
