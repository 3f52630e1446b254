#pragma once

#include <refrain/base/folder_lock.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/study/queue.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// What a run is doing, as far as its files and the queue tell.
enum class RunState {
  waiting,  ///< not begun, or its job waits in the queue
  running,  ///< a process holds its lock, or its job runs
  stopped,  ///< it stopped in time, and no job of it waits
  finished,
  failed,
  lost,      ///< it says that it runs, but its process shows no sign of life and its job is gone
  damaged,   ///< its files do not say: the last error tells which cannot be read
  untrained  ///< no training run: the model before training, which has answers alone
};
std::string to_string(RunState state);

/// What is known of a run's outputs behind training: responses.h5 and verdicts.h5.
struct Outputs {
  bool answers_done = false, verdicts_done = false;
  std::optional<int64_t> answers;  ///< rows kept so far; unknown once the file is whole, which is not opened here
  std::optional<int64_t> judges;   ///< whose verdicts are done; unknown once they are decided
};

/// One line of the table of runs. What is not known is absent.
struct RunSummary {
  std::string name;  ///< STUDY/beta=B,lr=L,seed=S
  std::filesystem::path folder;
  RunState state = RunState::waiting;
  int64_t step = 0, steps = 0;  ///< optimizer steps done, and those there are to do; 0 where unknown
  std::optional<double> loss, accuracy, pairs_per_second;
  std::optional<double> seconds_left;  ///< of a running run: the steps left, each as long as the last ones took
  int64_t restarts = 0;
  int64_t steps_again = 0;  ///< done once more after a restart
  double node_hours = 0;    ///< of training, of all starts
  std::string job;          ///< Slurm's id: of the job submitted since, or of the last start; or empty
  std::string error;        ///< the last one, on one line; or what is wrong with the files
  Outputs outputs;

  Json json() const;
};

/// Where a run stands. @param said the state in status.json, or empty @param ending of the last start in starts.jsonl,
/// or empty @param job_state in the queue, of the last start's job, or empty @param next_state the same of a job that
/// was submitted since
RunState state_of(std::string const& said, std::string const& ending, std::optional<LockSight> const& lock,
                  std::string const& job_state, std::string const& next_state = {});

/// Every run under these folders, or these folders themselves, by name. Files that are being written, cut off or
/// damaged cost what stands in them, never the table. @throws Error for a folder that is not there
std::vector<RunSummary> summarize_runs(std::vector<std::filesystem::path> const& roots, Queue const& queue);

}  // namespace refrain::study
