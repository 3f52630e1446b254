#pragma once

#include <refrain/study/process.hpp>
#include <refrain/study/settings.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// What Slurm gave this job, from the variables that it sets in a batch script.
struct Allocation {
  std::string job;                     ///< SLURM_JOB_ID
  std::string array_job;               ///< SLURM_ARRAY_JOB_ID, empty outside an array
  std::optional<int64_t> array_index;  ///< SLURM_ARRAY_TASK_ID
  int restarts = 0;                    ///< SLURM_RESTART_COUNT: how often it was requeued before
  int nodes = 1;
  int tasks = 1;
  std::vector<int> tasks_per_node;  ///< one entry a node
  int cpus_per_task = 1;  ///< as many as the tightest node has for each of its tasks, 0 if it has fewer than tasks

  /// What scontrol calls this job: ARRAY_INDEX in an array. The array's own id would mean all of its members.
  std::string id() const;
};

/// Slurm's settings by name.
using SlurmConfig = Environment;

/// From the "Key = value" lines that `scontrol show config` prints.
SlurmConfig parse_slurm_config(std::string const& text);

/// Nothing outside a Slurm job. @throws Error if a variable does not read as Slurm writes it
std::optional<Allocation> read_allocation(Environment const& environment);

/// Whether this process runs in a job of Slurm. What a message tells the user to start is then a script of slurm/, else
/// refrain-study.
bool in_job();
/// The line that starts a subcommand, such as {"member", "dpo_8b_de"}: "sbatch --array=3 slurm/dpo_8b_de.sh" or
/// "refrain-study member dpo_8b_de --index 3". For messages.
std::string start_line(Words const& command, std::string const& index = {});
/// How to start it with an index that is there, from 0 to `last`.
std::string start_line_up_to(Words const& command, int64_t last);

/// "4(x2),3" -> 4, 4, 3. @throws Error for what is no number
std::vector<int> expand_counts(std::string const& text);

/// @throws Error with the sbatch line that would do, if the tasks are not spread evenly, do not divide into groups of
///   `tensor_parallel`, or have less than a CPU each
void check_allocation(Allocation const& allocation, int tensor_parallel, std::string const& script);

/// What `scontrol show job` prints of one job.
class JobRecord {
public:
  /// The first job of the text: the record of an array's last member shows its sisters as well.
  explicit JobRecord(std::string text);
  /// Value of "Key=", or empty if it is not there or "(null)". Paths are read to the end of their line.
  std::string get(std::string const& key) const;

private:
  std::string text_;
};

/// Asks scontrol, and again while the controller is away; an empty record if there is no answer. An array's member is
/// found by its own id.
JobRecord ask_job(Allocation const& allocation);

/// The line that submits one index of the array again, as this job was submitted, after it has ended.
Words resubmission(Allocation const& allocation, JobRecord const& record, std::string const& script);

/// Whether a user ended the job by scancel, so that nobody may bring it back.
bool was_cancelled(JobRecord const& record);

/// Variables that take Slurm's of this job away from a program that is started: they would set options of another
/// sbatch, or reach the new job. How to find Slurm stays.
Variables without_slurm_variables();

/// Whether Slurm has put the job back into the queue already: an operator asked for it, it was preempted, or it lost a
/// node. What `record` says of it is then about its next start.
bool was_requeued(Allocation const& allocation, JobRecord const& record);

/// Puts this job back into the queue, unless Slurm has done so: by requeue, or, where that is refused, by submitting
/// its index again. A job that was cancelled by its user stays so. `script` is a fallback for a record without a
/// command.
/// @returns what was done, for the log. @throws Error if neither worked, with the line to type
std::string put_back(Allocation const& allocation, std::string const& script);

}  // namespace refrain::study
