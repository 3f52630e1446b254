#pragma once

#include <refrain/study/words.hpp>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace refrain::study {

/// The environment of a process: names and values.
using Environment = std::map<std::string, std::string>;

/// This process's.
Environment current_environment();

/// What REFRAIN_* variables say. The scripts in slurm/ read env/site.sh first; the submitting shell's values win.
struct Settings {
  std::filesystem::path model;         ///< REFRAIN_MODEL: Hugging Face folder or checkpoint to start from
  Words pairs;                         ///< REFRAIN_PAIRS: preference files
  std::filesystem::path runs;          ///< REFRAIN_RUNS: where run folders go
  std::optional<int> tensor_parallel;  ///< REFRAIN_TENSOR_PARALLEL
  Words train_args;                    ///< REFRAIN_TRAIN_ARGS: more options for refrain-train
  Words shard_args;                    ///< REFRAIN_SHARD_ARGS: more options for refrain-shard
  std::string launcher;                ///< REFRAIN_LAUNCHER: srun, mpirun, a whole command, or empty
  std::string sweep = "default";       ///< REFRAIN_SWEEP: path or name of a table
  std::optional<double> disk_tb;       ///< REFRAIN_DISK_TB: what all members that run at once may write, in 1e12 bytes
};

/// @throws UsageError that names every variable that is missing, or the one that is wrong
Settings read_settings(Environment const& environment);

}  // namespace refrain::study
