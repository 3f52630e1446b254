#pragma once

#include <refrain/base/options.hpp>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// What a dev split says of a sweep's member; the ranking's column is the name behind `dev-`.
enum class DevMeasure { accuracy, margin, asr };

/// Command line of refrain-study.
struct Options {
  std::string command;  ///< which subcommand, as `table` declares them
  /// Of configurations: member's one; the others' any number, else REFRAIN_STUDY. Of status: folders, else REFRAIN_RUNS
  std::vector<std::string> names;
  std::optional<int64_t> index;          ///< of a sweep's member, or of a model; else SLURM_ARRAY_TASK_ID, else 0
  std::string launcher;                  ///< overrides REFRAIN_LAUNCHER
  std::string sweep;                     ///< overrides REFRAIN_SWEEP
  std::vector<std::string> files;        ///< of run: one, a study's, or its name
  bool wave = false;                     ///< of run: called by the job of a wave
  bool dry_run = false;                  ///< prints the commands instead
  bool failed = false;                   ///< submit: those members alone that have failed
  std::string after;                     ///< submit: the job that must have ended well before
  std::optional<int64_t> keep;           ///< prune: as many of the best stay
  DevMeasure by = DevMeasure::accuracy;  ///< prune: what the best are the best by
  bool drop_weights = false;             ///< prune: the others' weights go
  bool watch = false;                    ///< status: look again and again
  double interval = 10;                  ///< status: seconds between two looks
  bool json = false;                     ///< status: for programs
  std::filesystem::path html;            ///< status: a folder for index.html; empty: no page

  /// The command line of refrain-study, bound to `options`.
  static OptionTable table(Options& options);
  /// Nothing is left to check: the rest depends on the environment, which the subcommands ask.
  void validate() const {}
};

}  // namespace refrain::study

namespace refrain {

template <>
struct EnumChoices<study::DevMeasure> {
  using enum study::DevMeasure;
  static constexpr std::array<Choice<study::DevMeasure>, 3> choices{
      {{accuracy, "dev-accuracy"}, {margin, "dev-margin"}, {asr, "dev-asr"}}};
};

}  // namespace refrain
