#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/study/words.hpp>

#include <filesystem>
#include <map>
#include <string>

namespace refrain::study {

/// The options of refrain-train, as sweep tables set them.
class TrainOptions {
public:
  /// Those of program_options. @throws Error for a broken file
  static TrainOptions load();

  /// The option that a table's key means: "learning-rate" for `learning_rate` and for `learning-rate`.
  /// @throws Error naming the nearest option if there is none, or who sets it if the study does; `table` is the file
  std::string find(std::string const& key, std::filesystem::path const& table) const;

  /// A table's value as words of a command line: one, or several for an option that takes a list. @pre `name` is known
  /// @throws Error for a value of another kind; limits of numbers are refrain-train's to check
  Words value_words(std::string const& name, Json const& value, std::filesystem::path const& table) const;

private:
  std::map<std::string, std::string> written_;  ///< "N", "X", "auto|on|off", "NAME...", "FILE.h5", ... by name
};

}  // namespace refrain::study
