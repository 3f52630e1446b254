#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// A job of this user that waits or runs. Members of an array stand one by one.
struct QueuedJob {
  std::string id;                ///< ARRAY_INDEX, or the job's number
  std::string array_job;         ///< the array's id, or the job's
  std::optional<int64_t> index;  ///< in its array
  std::string state;             ///< PENDING, RUNNING, ...
  std::string number;            ///< SLURM_JOB_ID in it: a member of an array has one of its own
  std::string name;
  std::vector<std::string> behind{};  ///< ids of the jobs that it waits for still: of an array, or of its members
};
using Queue = std::vector<QueuedJob>;

/// From the lines of `squeue --noheader --array --format="%F %K %T %A %j|%E"`.
Queue read_queue(std::string const& listing);

/// All of this user's jobs; none where there is no Slurm. @throws Error if squeue does not answer within `seconds`
Queue ask_queue(int seconds = 60);
/// The same for what is only printed: none, and a warning, if squeue does not answer.
Queue ask_queue_to_print();

/// The state of the job with this id or number; empty where it is not in the queue.
std::string state_in(Queue const& queue, std::string const& job);

/// "dpo_8b_de: 3 PENDING, 1 RUNNING; judge: 1 PENDING", by the jobs' names; empty where there are none. Jobs that have
/// not begun have no run folder yet.
std::string queue_text(Queue const& queue);

}  // namespace refrain::study
