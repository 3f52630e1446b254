#pragma once

#include <refrain/study/batch_job.hpp>
#include <refrain/study/starts.hpp>

#include <filesystem>
#include <functional>
#include <string>

namespace refrain::study {

/// How far a piece of work has come.
struct Reached {
  Json numbers;      ///< an object of whole numbers that grow with the work, such as {"step": 12}
  std::string text;  ///< the same for people: "step 12"
};

/// A piece of work that a parallel program does, over several starts where it must.
struct Work {
  std::string what;            ///< "training", for messages
  Words line;                  ///< program and options
  std::filesystem::path path;  ///< the run folder, or the first output; the record of starts is beside it
  std::string kept;            ///< "from the last checkpoint": from where another start goes on
  std::function<Reached()> reached;
  /// Whether ranks that ended with this exit code were told to stop, and kept what they had done.
  std::function<bool(int code)> stopped;
  /// Tells those who look at the work that a start was lost or has failed. `error` is one line.
  std::function<void(Ending ending, std::string const& error)> tell = [](Ending, std::string const&) {};
};

/// One start of it in this job. Where work is left because the ranks were told to stop, or a node or a rank was lost,
/// the job goes back into the queue. @pre install_stop_handlers was called
/// @returns success where it is done; stopped_early where the job has been put back or, outside Slurm, the caller has
///   to start it again
/// @throws Error if the program failed, or if the third restart in a row came no further than the start before them
Exit perform(BatchJob const& job, Launcher const& launcher, Work const& work);

}  // namespace refrain::study
