#pragma once

#include <refrain/base/options.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// Command line of refrain-study.
struct Options {
  std::string command;             ///< which subcommand, as `table` declares them
  std::vector<std::string> names;  ///< of configurations: member's one; the others' any number, else REFRAIN_STUDY
  std::optional<int64_t> index;    ///< of a sweep's member, or of a model; else SLURM_ARRAY_TASK_ID, else 0
  std::string launcher;            ///< overrides REFRAIN_LAUNCHER
  std::string sweep;               ///< overrides REFRAIN_SWEEP
  std::vector<std::string> files;  ///< of run: one, a study's, or its name
  bool wave = false;               ///< of run: called by the job of a wave
  bool dry_run = false;            ///< prints the commands instead

  /// The command line of refrain-study, bound to `options`.
  static OptionTable table(Options& options);
  /// Nothing is left to check: the rest depends on the environment, which the subcommands ask.
  void validate() const {}
};

}  // namespace refrain::study
