#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/study/settings.hpp>
#include <refrain/study/stage.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace refrain::study {

/// Where a value stands in a study's file: the file and the key, such as "models.8b.judges". Every mistake names both.
struct KeyPlace {
  std::filesystem::path file;
  std::string key;

  KeyPlace inside(std::string const& name) const { return {file, key.empty() ? name : key + "." + name}; }
  /// @throws Error at this place
  [[noreturn]] void refuse(std::string const& problem, std::string const& remedy) const;
};

/// Keys of a study's file that stand for REFRAIN_* variables, for the whole study or for one of its models.
std::vector<std::string> setting_keys();

/// Whether `key` is one of them.
bool is_setting(std::string const& key);

/// The variable's value: a path or a list of them, an object of judges, a number, or a text as the variable has it.
/// `$NAME` in it is the environment's. @throws Error at `place` for a value of another kind, a path that begins not
/// with /, or a variable that is not set
std::string setting_text(std::string const& key, Json const& value, Environment const& environment,
                         KeyPlace const& place);

/// REFRAIN_GUARDS of the key `judges`.
std::string variable_of(std::string const& key);

/// Whether jobs of a stage read a variable of the file.
bool is_read_by(std::string const& variable, Stage stage);

/// A text in which $NAME and ${NAME} are the environment's, and $$ is $. @throws Error at `place` for one that is not
/// set
std::string expand_variables(std::string const& text, Environment const& environment, KeyPlace const& place);

/// A path as the file gives it, expanded. @throws Error at `place` if it is no text that begins with /
std::string absolute_path(Json const& value, Environment const& environment, KeyPlace const& place);

/// @throws Error at `place` unless `object` is an object that has no keys but these
void check_keys(Json const& object, std::vector<std::string> const& known, KeyPlace const& place);

}  // namespace refrain::study
