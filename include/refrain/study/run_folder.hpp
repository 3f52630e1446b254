#pragma once

#include <refrain/study/work.hpp>

#include <cstdint>
#include <filesystem>
#include <string>

namespace refrain::study {

/// The folder in REFRAIN_RUNS where runs find the reference log-probabilities that others have computed.
inline constexpr char reference_cache[] = "reference-cache";

/// How far a run has come.
struct Advance {
  int64_t step = 0;               ///< optimizer steps done
  int64_t reference_batches = 0;  ///< batches of the reference pass done, which comes before the first step

  bool operator==(Advance const&) const = default;
  /// "step 12", or before the first "step 0, after 3 batches of the reference pass".
  std::string text() const;
};

/// What the study reads and keeps of one member: the run folder's status.json, which refrain-train writes, and beside
/// the folder NAME.starts.jsonl, a line for every start.
class RunFolder {
public:
  /// @param path the run folder, which need not be there yet
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path const& path() const noexcept { return path_; }

  /// "running", "stopped", "finished", "failed" as refrain-train says it; empty before the first start.
  std::string state() const;
  /// The last error as refrain-train says it, or, where there is no status.json, the record of starts, in one line;
  /// empty without one.
  std::string error() const;
  /// All 0 before the first start.
  Advance advance() const;
  /// Whether training has finished and its final/ stands.
  bool finished() const;
  /// Whether training has failed: by status.json, or, where nothing came to training and there is none, by the last
  /// start.
  bool failed() const;
  /// Whether training has finished and `refrain-study prune` has dropped its weights since.
  bool pruned() const;

  /// The text of status.json, or nothing: to see whether a start has changed it.
  std::string status_text() const;

  /// Who trains in it now, by its lock ("process 12 on n1, Slurm job 345, since ..."); empty if nobody does. Seconds
  /// where only the heartbeat tells (FolderLock). Changes nothing. @throws Error if the lock cannot be read
  std::string worker() const;

  /// Waits while ranks of an earlier start of this job (SLURM_JOB_ID) are at work in the folder: Slurm has given up
  /// their node, and they have not noticed yet. Ends early if this process is asked to stop. `job` is empty outside
  /// Slurm. @throws Error naming who else works in the folder, or if the lock cannot be read or written
  void wait_for_ranks_of(std::string const& job) const;

  /// Whether ranks that ended with this exit code stopped because they were told to. With --kill-on-bad-exit those that
  /// are last to exit with 85 may be killed, so a run that says itself, since `status_before`, that it stopped has
  /// stopped.
  bool has_stopped(int exit_code, std::string const& status_before) const;

  /// Says in status.json that a start was lost, and the run goes on, or that it has failed, where the ranks could not
  /// say so themselves or, since `status_before`, said less. `error` is one line. Leaves the file alone if another job
  /// works in the folder.
  void tell(Ending ending, std::string const& error, std::string const& status_before) const;

  /// Says in the record of starts, and in status.json if the folder is there, that job `job` has failed with `error`
  /// before it came to start training by `command`. Leaves both alone if another job works in the folder.
  void tell_refused(std::string const& job, std::string const& command, Error const& error) const;

  /// As the record of starts has it.
  Reached reached() const;

private:
  std::string text_of(std::string const& key) const;  ///< in status.json; empty where it is not there

  std::filesystem::path path_;
};

}  // namespace refrain::study
