#pragma once

#include <cstdint>

namespace refrain::comm {

/// Kinds of transfers between ranks.
enum class Transfer { all_reduce, reduce_scatter, all_gather };

/// Below this many bytes in all, an all-reduce is one exchange in which everyone receives everything.
inline constexpr int64_t small_all_reduce_bytes = int64_t{64} << 10;

/// Bytes that one rank of `ranks` sends. `bytes`: of the whole buffer that is reduced, scattered or gathered (as many
/// as every rank has of an all-reduce's, the sum over ranks of the others'). A ring's or an all-to-all's number, which
/// are the same: (n - 1)/n of the buffer, twice for an all-reduce.
/// Where the buffer does not divide evenly it is the mean over the ranks, rounded down; what is small is sent to
/// everyone.
int64_t sent_bytes(Transfer transfer, int64_t bytes, int ranks) noexcept;

/// What a rank has sent so far.
struct Traffic {
  int64_t all_reduce = 0, reduce_scatter = 0, all_gather = 0;  ///< bytes
  int64_t calls = 0;
  void add(Transfer transfer, int64_t bytes, int ranks) noexcept;
};

}  // namespace refrain::comm
