#pragma once

#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace refrain {

/// One start of a training run: from run.json, which refrain-train writes when it begins, and, for its end, from
/// NAME.starts.jsonl beside the run's folder, which refrain-study writes, and from status.json.
struct RunStart {
  double begin = 0;                ///< seconds since 1970
  std::optional<double> end;       ///< of one that is running or lost: its last sign of life, if there was any
  std::string ending;              ///< finished, stopped, failed, running, or lost where nobody recorded its end
  int64_t first_step = 0;          ///< steps that were done when it began
  std::optional<int64_t> reached;  ///< steps that were done at its end, where somebody recorded it
  int64_t ranks = 1, nodes = 1;
};

/// The starts of a run, in order; those without a time are left out.
/// @param record run.json @param endings the lines of NAME.starts.jsonl @param status status.json, or an empty object
std::vector<RunStart> read_starts(Json const& record, std::vector<Json> const& endings, Json const& status);

/// Steps that a later start did once more, since an earlier one had come further than its last checkpoint.
int64_t steps_done_again(std::vector<RunStart> const& starts);

/// "n[1-3,7],m5" names 5 hosts: how Slurm writes a list of nodes. At least 1.
int64_t count_hosts(std::string const& nodes);

/// Seconds since 1970 of "2026-01-31T12:00:00Z"; none for anything else.
std::optional<double> seconds_of_time(std::string const& text);

}  // namespace refrain
