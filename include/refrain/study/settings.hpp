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

/// The value of a name; empty where there is none.
std::string value_of(Environment const& environment, std::string const& name);

/// What REFRAIN_* variables say. The scripts in slurm/ read env/site.sh first; the submitting shell's values win.
struct Settings {
  std::filesystem::path model;         ///< REFRAIN_MODEL: Hugging Face folder or checkpoint to start from
  std::filesystem::path runs;          ///< REFRAIN_RUNS: where run folders go
  Words pairs;                         ///< REFRAIN_PAIRS: preference files; only where needed
  Words prompts;                       ///< REFRAIN_PROMPTS: evaluation prompts; of the dev split REFRAIN_DEV_PROMPTS
  std::string split;                   ///< "dev" where REFRAIN_SPLIT says so: a sweep is ranked by what is made of it
  Words studies;                       ///< REFRAIN_STUDY: names of training configurations
  Words guards;                        ///< REFRAIN_GUARDS: judges and their models, a word each (guards.hpp)
  std::string judge;                   ///< REFRAIN_JUDGE: the one of them that a job asks alone; or empty
  Words adjudicator;                   ///< REFRAIN_ADJUDICATOR: who decides where guards differ
  Words deciders;                      ///< REFRAIN_DECIDERS: names of the guards whose agreement decides; else all
  std::optional<int> tensor_parallel;  ///< REFRAIN_TENSOR_PARALLEL
  Words train_args;                    ///< REFRAIN_TRAIN_ARGS: more options for refrain-train
  Words shard_args;                    ///< REFRAIN_SHARD_ARGS: more options for refrain-shard --pairs
  Words prompt_args;                   ///< REFRAIN_PROMPT_ARGS: more options for refrain-shard --prompts
  Words generate_args;                 ///< REFRAIN_GENERATE_ARGS: more options for refrain-generate
  Words judge_args;                    ///< REFRAIN_JUDGE_ARGS: more options for refrain-judge with a checkpoint
  Words adjudicator_args;              ///< REFRAIN_ADJUDICATOR_ARGS: more options for the adjudicator's refrain-judge
  Words report_args;                   ///< REFRAIN_REPORT_ARGS: more options for refrain-report
  Words reports;                       ///< REFRAIN_REPORTS: pages without which nothing is archived
  Words archive_args;                  ///< REFRAIN_ARCHIVE_ARGS: more options for refrain-archive create
  std::string launcher;                ///< REFRAIN_LAUNCHER: srun, mpirun, a whole command, or empty
  std::string sweep = "default";       ///< REFRAIN_SWEEP: path or name of a table
  std::optional<double> disk_tb;       ///< REFRAIN_DISK_TB: what all members that run at once may write, in 1e12 bytes
};

/// @param needed the variables without which the subcommand cannot work; REFRAIN_MODEL and REFRAIN_RUNS always are
/// @throws UsageError that names every variable that is missing, or the one that is wrong
Settings read_settings(Environment const& environment, Words const& needed);

}  // namespace refrain::study
