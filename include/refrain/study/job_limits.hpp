#pragma once

#include <refrain/study/settings.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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

/// Asks scontrol and sacctmgr; who does not answer sets no limit. Sites limit partitions and QOS by other ways too,
/// which REFRAIN_MAX_JOBS tells. @throws UsageError for a REFRAIN_MAX_JOBS that is no number above 0
JobLimits ask_limits(Environment const& environment);

/// A job of this user that waits or runs. Members of an array stand one by one.
struct QueuedJob {
  std::string id;                ///< ARRAY_INDEX, or the job's id
  std::string array_job;         ///< the array's id, or the job's
  std::optional<int64_t> index;  ///< in its array
  std::string state;             ///< PENDING, RUNNING, ...
  std::string name;
};

/// From the lines of `squeue --noheader --array --format="%F %K %T %j"`.
std::vector<QueuedJob> read_queue(std::string const& listing);

/// All of this user's jobs; none where there is no Slurm. @throws Error if squeue does not answer
std::vector<QueuedJob> ask_queue();

}  // namespace refrain::study
