#pragma once

#include <refrain/comm/communicator.hpp>

#include "nccl_check.hpp"

#include <functional>

namespace refrain::comm {

/// NCCL's communicator of a group of ranks, by an id that MPI broadcasts. It never blocks: calls are polled, so that a
/// rank that is lost is an error and no hang. All communicators of a process are watched by one thread.
class NcclCommunicator {
public:
  /// @collective over `ranks` @throws Error if they are not connected within `timeout_seconds` (0: for ever)
  NcclCommunicator(Communicator const& ranks, char const* name, double timeout_seconds);
  ~NcclCommunicator();
  NcclCommunicator(NcclCommunicator const&) = delete;
  NcclCommunicator& operator=(NcclCommunicator const&) = delete;

  /// Runs `call(ncclComm_t)`, which hands one transfer to a stream, and waits until NCCL took it.
  /// @throws Error where that fails, or where any communicator of this process has failed
  template <class Call>
  void enqueue(char const* name, Call const& call) {
    guarded([&] { check(call(handle_), name); });
    settle(name);
  }

  /// @throws Error if the watching thread found that a communicator of this process has failed
  static void throw_if_failed();

private:
  /// Runs `work` while the watching thread leaves the communicators alone. @throws Error as throw_if_failed
  static void guarded(std::function<void()> const& work);
  /// Polls until no call is in progress.
  void settle(char const* name) const;

  ncclComm_t handle_ = nullptr;
};

}  // namespace refrain::comm
