#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/report/table.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace refrain::report {

/// A training run's folder, as far as the report tells of it.
struct Run {
  std::string name;                                                ///< by `run_name`
  Json record;                                                     ///< run.json
  Json status;                                                     ///< status.json
  std::vector<Json> metrics;                                       ///< rows of training steps of metrics.jsonl
  Json evaluation;                                                 ///< its last row of an evaluation; null without one
  std::vector<std::pair<std::string, int64_t>> pairs_by_language;  ///< of its pairs file; empty if that is not there
  std::vector<Json> endings;  ///< lines of NAME.starts.jsonl beside the folder, which refrain-study writes
};

/// run.json of a training run's folder. @throws Error for a folder that is no run's, or for a damaged file
Json read_run_record(std::filesystem::path const& folder);

/// The rows of metrics.jsonl; none before the first step. @throws Error for a line that is no JSON object, and where
/// status.json says that there are rows and the file is gone
std::vector<Json> read_metrics(std::filesystem::path const& folder);

/// @throws Error for a folder that is no run's, or for damaged files
Run read_run(std::filesystem::path const& folder);

/// run, step, loss, margin, accuracy: a row a step.
Table curve_table(std::vector<Run> const& runs);
/// run, state, device, ranks, starts, finished, stopped, failed, lost, hours, hours_at_most: hours of all ranks
/// together, of every start. A start whose end nobody recorded is lost; it counts up to its last sign of life, and in
/// `hours_at_most` up to the next start.
Table hours_table(std::vector<Run> const& runs);
/// run, language, pairs: what training was given, after drops and selection.
Table pairs_table(std::vector<Run> const& runs);

}  // namespace refrain::report
