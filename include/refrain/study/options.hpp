#pragma once

#include <refrain/base/options.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// Command line of refrain-study.
struct Options {
  std::string command;  ///< which subcommand, as `table` declares them
  /// Of configurations: member's one; the others' any number, else REFRAIN_STUDY. Of status: folders, else REFRAIN_RUNS
  std::vector<std::string> names;
  std::optional<int64_t> index;  ///< of a sweep's member, or of a model; else SLURM_ARRAY_TASK_ID, else 0
  std::string launcher;          ///< overrides REFRAIN_LAUNCHER
  std::string sweep;             ///< overrides REFRAIN_SWEEP
  bool dry_run = false;          ///< prints the commands instead
  bool watch = false;            ///< status: look again and again
  double interval = 10;          ///< status: seconds between two looks
  bool json = false;             ///< status: for programs
  std::filesystem::path html;    ///< status: a folder for index.html; empty: no page

  /// The command line of refrain-study, bound to `options`.
  static OptionTable table(Options& options);
  /// Nothing is left to check: the rest depends on the environment, which the subcommands ask.
  void validate() const {}
};

}  // namespace refrain::study
