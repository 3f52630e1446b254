#include "nccl_communicator.hpp"

#include "waiting.hpp"

#include <refrain/base/quiet_thread.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace refrain::comm {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto watch_interval = std::chrono::milliseconds(200);

ncclResult_t state_of(ncclComm_t comm) {
  ncclResult_t state = ncclSuccess;
  ncclResult_t const asked = ncclCommGetAsyncError(comm, &state);
  return asked == ncclSuccess ? state : asked;
}

/// Looks at all communicators for errors that come while the host waits for the GPU. It notes the failure first and
/// ends the transfers then, so that whoever waited for one of them sees the note with the next call.
class Watch {
public:
  static Watch& instance() {
    static Watch watch;
    return watch;
  }

  void add(ncclComm_t comm) {
    std::lock_guard const guard(mutex_);
    comms_.push_back(comm);
    if (!thread_.joinable()) thread_ = quiet_thread([this] { run(); });
  }

  /// @returns whether it was still there: not if the watch aborted it, which frees it
  bool remove(ncclComm_t comm) {
    std::lock_guard const guard(mutex_);
    return std::erase(comms_, comm) > 0;
  }

  /// Runs `work` unless a communicator has failed: those that failed are freed, and nobody may call NCCL with them.
  void guarded(std::function<void()> const& work) {
    std::lock_guard const guard(mutex_);
    if (!failure_.empty())
      throw Error("a transfer between GPUs failed: " + failure_,
                  "look for a rank that ended or a network that fails; NCCL_DEBUG=WARN says more");
    work();
  }

  ~Watch() {
    {
      std::lock_guard const guard(mutex_);
      ending_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

private:
  void run() {
    std::unique_lock guard(mutex_);
    while (!wake_.wait_for(guard, watch_interval, [this] { return ending_; })) {
      for (ncclComm_t comm : comms_) {
        ncclResult_t const state = state_of(comm);
        if (state == ncclSuccess || state == ncclInProgress) continue;
        failure_ = nccl_words(state);
        break;
      }
      if (failure_.empty()) continue;
      for (ncclComm_t comm : comms_) ncclCommAbort(comm);
      comms_.clear();
      return;
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::vector<ncclComm_t> comms_;
  std::string failure_;
  std::thread thread_;
};

/// Asks `state()` until no call is in progress. @returns its last answer, ncclInProgress if time ran out (0: never)
template <class State>
ncclResult_t settled(State const& state, double timeout_seconds) {
  auto const begin = Clock::now();
  while (true) {
    ncclResult_t const now = state();
    if (now != ncclInProgress) return now;
    double const seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (timeout_seconds > 0 && seconds > timeout_seconds) return now;
    // A transfer is taken in some microseconds; to connect the ranks takes seconds.
    if (seconds < 1e-3)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

NcclCommunicator::NcclCommunicator(Communicator const& ranks, char const* name, double timeout_seconds) {
  Waiting const waiting;
  ncclUniqueId id{};
  agree(ranks, [&] {
    if (ranks.rank() == 0) check(ncclGetUniqueId(&id), "ncclGetUniqueId");
  });
  ranks.broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  config.commName = name;
  try {
    check(ncclCommInitRankConfig(&handle_, ranks.size(), id, ranks.rank(), &config), "ncclCommInitRankConfig");
    ncclResult_t const state = settled([this] { return state_of(handle_); }, timeout_seconds);
    if (state == ncclInProgress)
      throw Error("the ranks' GPUs did not connect within " + std::to_string(static_cast<int>(timeout_seconds)) + " s",
                  "look for a rank that hangs, or set NCCL_SOCKET_IFNAME to the network between the nodes; "
                  "NCCL_DEBUG=INFO says more");
    check(state, "ncclCommInitRankConfig");
  } catch (...) {
    if (handle_ != nullptr) ncclCommAbort(handle_);
    throw;
  }
  Watch::instance().add(handle_);
}

NcclCommunicator::~NcclCommunicator() {
  if (!Watch::instance().remove(handle_)) return;
  // Orderly where the work is done; where it is not, the other ranks are lost or ending, and nobody waits for them.
  constexpr double patience = 20;
  auto const began = [](ncclResult_t code) { return code == ncclSuccess || code == ncclInProgress; };
  if (std::uncaught_exceptions() == 0 && began(ncclCommFinalize(handle_)) &&
      settled([this] { return state_of(handle_); }, patience) == ncclSuccess)
    ncclCommDestroy(handle_);
  else
    ncclCommAbort(handle_);
}

void NcclCommunicator::guarded(std::function<void()> const& work) { Watch::instance().guarded(work); }

void NcclCommunicator::throw_if_failed() {
  guarded([] {});
}

void NcclCommunicator::settle(char const* name) const {
  ncclResult_t const state = settled(
      [this] {
        ncclResult_t now = ncclSuccess;
        guarded([&] { now = state_of(handle_); });
        return now;
      },
      0);
  check(state, name);
}

}  // namespace refrain::comm
