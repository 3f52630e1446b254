#pragma once

#include <refrain/comm/communicator.hpp>

#include <filesystem>
#include <memory>
#include <string>

namespace refrain::comm {

/// Ends every rank when one stops answering. Each rank's thread writes a heartbeat that the others can see (it must not
/// use MPI, which may be what hangs); when a rank's own work has not reported progress for `timeout` seconds (by
/// `progress`, or by note_activity while it reads and writes files), the ranks that still answer name the one that
/// stands furthest behind, and what it was doing, in one line, and kill the job.
class Watchdog {
public:
  /// `folder` is visible to all ranks (the run folder). timeout 0 switches it off.
  /// @throws Error if the heartbeats cannot be written there. @collective
  Watchdog(Communicator const& world, std::filesystem::path const& folder, double timeout_seconds);
  ~Watchdog();  ///< ends the watch

  /// Called by the working thread whenever it gets somewhere; `doing` says what comes next ("step 12: backward").
  void progress(std::string const& doing);

private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace refrain::comm
