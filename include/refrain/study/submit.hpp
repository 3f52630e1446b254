#pragma once

#include <refrain/base/error.hpp>
#include <refrain/study/job_limits.hpp>
#include <refrain/study/options.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace refrain::study {

/// What one call of sbatch submits of a sweep.
struct ArrayPlan {
  std::vector<int64_t> indices;
  int64_t at_once = 0;            ///< 0: all
  std::vector<int64_t> left_out;  ///< for which the site has no room yet
};

/// Fits `wanted` members, which ascend, into what the site allows while `queued` jobs of this user wait or run;
/// `at_once` members have room on the disk.
/// @throws Error if there is room for none, or an index is above what an array takes
ArrayPlan plan_array(std::vector<int64_t> const& wanted, int64_t queued, JobLimits const& limits,
                     std::optional<int64_t> at_once);

/// Submits the members of a configuration's sweep that have not finished and that no job has, or with --failed those
/// that have failed, as one array; prints its id. With --dry-run prints the sbatch line.
/// @throws Error for an unsuitable environment or table, if another job has all of them, and if sbatch refuses
Exit run_submit(Options const& options);

}  // namespace refrain::study
