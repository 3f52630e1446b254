#pragma once

#include <atomic>

namespace refrain::comm {

/// While one lives, this process waits for others in MPI. The watchdog asks, to tell a rank that holds up the others
/// from those that wait for it.
class Waiting {
public:
  Waiting() noexcept { depth.fetch_add(1, std::memory_order_relaxed); }
  ~Waiting() { depth.fetch_sub(1, std::memory_order_relaxed); }
  Waiting(Waiting const&) = delete;
  Waiting& operator=(Waiting const&) = delete;
  static bool now() noexcept { return depth.load(std::memory_order_relaxed) > 0; }

private:
  static inline std::atomic<int> depth = 0;
};

}  // namespace refrain::comm
