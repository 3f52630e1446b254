#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/base/options.hpp>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::archive {

/// Which weights an archive takes.
enum class Weights { none, final };

/// What refrain-archive is asked to do; which of them count depends on the command.
struct Options {
  std::string command;  ///< create, verify, list, restore, diff
  std::vector<std::string> paths;
  std::filesystem::path out;
  std::filesystem::path archive;  ///< of restore
  std::string run;                ///< of restore: its name in the archive; empty: all
  bool add = false;
  bool replace = false;
  bool overwrite = false;
  bool anonymous = false;
  bool include_text = false;
  std::vector<std::string> include_categories;  ///< of those that are otherwise left out
  Weights weights = Weights::none;
  int compression = 4;  ///< deflate's level; 0 is none
  Json record;          ///< all options, for provenance

  /// The command line of refrain-archive, bound to `options`.
  static OptionTable table(Options& options);
  /// @throws UsageError for options that contradict each other or name what is not there
  void validate();

  /// Whether text of `guarded_category` is taken.
  bool include_guarded() const noexcept { return !include_categories.empty(); }
};

}  // namespace refrain::archive

namespace refrain {

template <>
struct EnumChoices<archive::Weights> {
  static constexpr std::array choices{Choice<archive::Weights>{archive::Weights::none, "none"},
                                      Choice<archive::Weights>{archive::Weights::final, "final"}};
};

}  // namespace refrain
