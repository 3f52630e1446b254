#pragma once

#include <refrain/base/dtype.hpp>
#include <refrain/comm/communicator.hpp>
#include <refrain/comm/traffic.hpp>

#include <array>
#include <cstddef>
#include <memory>

namespace refrain::comm {

/// Plain memory that a collective reads or writes; `count` elements of `type`.
struct Buffer {
  void* data;
  std::size_t count;
  DType type;
};

/// What a transfer belongs to. NCCL gives each lane a stream and a communicator; MPI does all of them at once.
enum class Lane { compute, gather, reduce };

/// How a reduction joins the values of the ranks.
enum class ReduceOp { sum, max };

/// A transfer under way, until `wait`.
struct Ticket {
  int64_t id = 0;
};

/// Collectives over the ranks of one group, on one kind of memory. Reductions are summed in rank order, in fp32 for
/// bf16 and fp16 (in fp64 for fp64), so that they give the same bits wherever the ranks run.
/// All functions are @collective. Elements of `in` and `out` must not overlap unless they are equal (in place).
class Collectives {
public:
  virtual ~Collectives() = default;
  virtual int rank() const noexcept = 0;
  virtual int size() const noexcept = 0;

  /// Every rank receives the sum (or maximum) over all ranks, element by element.
  Ticket all_reduce(Buffer inout, ReduceOp op, Lane lane);
  /// Rank r receives the sum of everyone's r-th part. `out` may be this rank's own part of `in`.
  /// @pre out.count * size() == in.count
  Ticket reduce_scatter(Buffer out, Buffer in, Lane lane);
  /// Every rank receives everyone's `in`, in rank order. `in` may be this rank's own part of `out`.
  /// @pre out.count == in.count * size()
  Ticket all_gather(Buffer out, Buffer in, Lane lane);
  /// Returns when the transfer is done and its buffers may be used again.
  virtual void wait(Ticket ticket, Lane lane) = 0;

  /// What this rank has sent on a lane so far.
  Traffic const& traffic(Lane lane) const { return traffic_[static_cast<std::size_t>(lane)]; }

private:
  virtual Ticket start_all_reduce(Buffer inout, ReduceOp op, Lane lane) = 0;
  virtual Ticket start_reduce_scatter(Buffer out, Buffer in, Lane lane) = 0;
  virtual Ticket start_all_gather(Buffer out, Buffer in, Lane lane) = 0;
  void note(Transfer transfer, Buffer const& whole, Lane lane);

  std::array<Traffic, 3> traffic_{};
};

/// Collectives over host memory through MPI: each reduction is an all-to-all, summed in rank order. Work is done when
/// the call returns.
std::unique_ptr<Collectives> mpi_collectives(Communicator comm);

}  // namespace refrain::comm
