#pragma once

#include <refrain/study/settings.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace refrain::study {

/// How many jobs a site lets one user have, as far as it says. Every member of an array is a job.
struct JobLimits {
  std::optional<int64_t> jobs;        ///< that wait or run at a time
  std::string jobs_from;              ///< who says so: "REFRAIN_MAX_JOBS", "MaxJobCount of slurm.conf", ...
  std::optional<int64_t> array_size;  ///< indices of an array are below this
};

/// From what `scontrol show config` prints and, a number a line, the limits on submitted jobs of the user's
/// associations: the least holds. `wanted` (REFRAIN_MAX_JOBS) replaces both.
JobLimits read_limits(std::string const& config, std::string const& associations, std::optional<int64_t> wanted);

/// REFRAIN_MAX_JOBS, if it is set. @throws UsageError unless it is a whole number above 0
std::optional<int64_t> wanted_jobs(Environment const& environment);

/// Asks scontrol and sacctmgr; who does not answer sets no limit. Sites limit partitions and QOS by other ways too,
/// which REFRAIN_MAX_JOBS tells. @throws UsageError for a REFRAIN_MAX_JOBS that is no number above 0
JobLimits ask_limits(Environment const& environment);

}  // namespace refrain::study
