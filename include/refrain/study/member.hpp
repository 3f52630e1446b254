#pragma once

#include <refrain/base/error.hpp>
#include <refrain/base/options.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// Command line of refrain-study.
struct Options {
  std::string command;             ///< which subcommand, as `table` declares them
  std::vector<std::string> names;  ///< of the configuration: one
  std::optional<int64_t> index;    ///< of the sweep's member; else SLURM_ARRAY_TASK_ID, else 0
  std::string launcher;            ///< overrides REFRAIN_LAUNCHER
  std::string sweep;               ///< overrides REFRAIN_SWEEP
  bool dry_run = false;            ///< prints the commands instead

  /// The command line of refrain-study, bound to `options`.
  static OptionTable table(Options& options);
  /// Nothing is left to check: the rest depends on the environment, which `run_member` asks.
  void validate() const {}
};

/// Trains one member of a configuration's sweep, from preference files to final/, or as far as its job's time goes:
/// pairs under a lock, launcher, signals, requeue.
/// @returns stopped_early if the caller has to start it again: outside Slurm
/// @throws Error for an unsuitable environment or allocation, and if training failed
Exit run_member(Options const& options);

}  // namespace refrain::study
