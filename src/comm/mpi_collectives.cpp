#include <refrain/comm/collectives.hpp>

#include "mpi_check.hpp"
#include "ordered_reduce.hpp"
#include "waiting.hpp"

#include <algorithm>
#include <cstring>

namespace refrain::comm {
namespace {

/// Scratch memory of one reduction; longer buffers go through in pieces of this size.
constexpr std::size_t scratch_bytes = std::size_t{16} << 20;

/// Collectives on host memory. What crosses the wire are plain transfers; arithmetic is ours, in rank order, so that it
/// does not depend on MPI's choice of algorithm.
class MpiCollectives final : public Collectives {
public:
  explicit MpiCollectives(Communicator comm) : comm_(std::move(comm)) {}

  int rank() const noexcept override { return comm_.rank(); }
  int size() const noexcept override { return comm_.size(); }

  Ticket start_all_reduce(Buffer inout, ReduceOp op, Lane) override {
    Waiting const waiting;
    if (size() == 1 || inout.count == 0) return {};
    std::size_t const width = size_of(inout.type);
    auto* const data = static_cast<std::byte*>(inout.data);
    auto const ranks = static_cast<std::size_t>(size());
    if (inout.count * width * ranks <= static_cast<std::size_t>(small_all_reduce_bytes)) {
      // One exchange instead of two: everyone receives everything and sums by itself.
      small_all_reduce(data, inout.count, inout.type, op);
      return {};
    }
    // Equal parts but for the last ones, which may be short or empty.
    std::size_t const piece = scratch_bytes / width;
    for (std::size_t begin = 0; begin < inout.count; begin += piece) {
      std::size_t const count = std::min(piece, inout.count - begin);
      std::size_t const part = (count + ranks - 1) / ranks;
      auto const start = [&](std::size_t r) { return begin + std::min(r * part, count); };
      auto const length = [&](std::size_t r) { return std::min((r + 1) * part, count) - std::min(r * part, count); };
      auto const me = static_cast<std::size_t>(rank());
      std::byte* const mine = data + start(me) * width;
      exchange([&](std::size_t r) { return std::span<std::byte const>(data + start(r) * width, length(r) * width); },
               mine, length(me), inout.type, op);
      gather_parts(data + begin * width, part * width, count * width);
    }
    return {};
  }

  Ticket start_reduce_scatter(Buffer out, Buffer in, Lane) override {
    Waiting const waiting;
    std::size_t const width = size_of(in.type);
    auto* const to = static_cast<std::byte*>(out.data);
    auto const* const from = static_cast<std::byte const*>(in.data);
    if (size() == 1) {
      if (out.count > 0) std::memmove(to, from, out.count * width);
      return {};
    }
    std::size_t const piece = std::max<std::size_t>(1, scratch_bytes / width / static_cast<std::size_t>(size()));
    for (std::size_t begin = 0; begin < out.count; begin += piece) {
      std::size_t const count = std::min(piece, out.count - begin);
      exchange(
          [&](std::size_t r) {
            return std::span<std::byte const>(from + (r * out.count + begin) * width, count * width);
          },
          to + begin * width, count, in.type, ReduceOp::sum);
    }
    return {};
  }

  Ticket start_all_gather(Buffer out, Buffer in, Lane) override {
    Waiting const waiting;
    std::size_t const bytes = in.count * size_of(in.type);
    auto* const to = static_cast<std::byte*>(out.data);
    auto const* const from = static_cast<std::byte const*>(in.data);
    std::byte* const own = to + static_cast<std::size_t>(rank()) * bytes;
    if (size() == 1) {
      if (bytes > 0 && own != from) std::memmove(own, from, bytes);
      return {};
    }
    for (std::size_t begin = 0; begin < bytes; begin += largest_message) {
      std::size_t const length = std::min(largest_message, bytes - begin);
      // One element of this type is a piece of a rank's part, and the next element stands in the next rank's part:
      // extents are MPI_Aint, so nothing overflows where byte counts would.
      MPI_Datatype piece = MPI_DATATYPE_NULL, placed = MPI_DATATYPE_NULL;
      check(MPI_Type_contiguous(static_cast<int>(length), MPI_BYTE, &piece), "MPI_Type_contiguous");
      check(MPI_Type_create_resized(piece, 0, static_cast<MPI_Aint>(bytes), &placed), "MPI_Type_create_resized");
      check(MPI_Type_commit(&placed), "MPI_Type_commit");
      void const* const send = own == from ? MPI_IN_PLACE : static_cast<void const*>(from + begin);
      int const code = MPI_Allgather(send, static_cast<int>(length), MPI_BYTE, to + begin, 1, placed, comm_.native());
      MPI_Type_free(&piece);
      MPI_Type_free(&placed);
      check(code, "MPI_Allgather");
    }
    return {};
  }

  void wait(Ticket, Lane) override {}  // done when the call returned

private:
  void small_all_reduce(std::byte* data, std::size_t count, DType type, ReduceOp op) {
    std::size_t const bytes = count * size_of(type);
    grow(bytes * static_cast<std::size_t>(size()));
    check(MPI_Allgather(data, static_cast<int>(bytes), MPI_BYTE, scratch_.get(), static_cast<int>(bytes), MPI_BYTE,
                        comm_.native()),
          "MPI_Allgather");
    parts_.clear();
    for (int r = 0; r < size(); ++r) parts_.push_back(scratch_.get() + static_cast<std::size_t>(r) * bytes);
    ordered_reduce(data, parts_, count, type, op);
  }

  /// Sends `part_of(r)` to each rank r, and puts the reduction of what arrives, `count` elements from everyone, to
  /// `out`.
  template <class PartOf>
  void exchange(PartOf part_of, std::byte* out, std::size_t count, DType type, ReduceOp op) {
    std::size_t const bytes = count * size_of(type);
    auto const ranks = static_cast<std::size_t>(size());
    auto const me = static_cast<std::size_t>(rank());
    grow(bytes * ranks);
    requests_.clear();
    parts_.clear();
    for (std::size_t r = 0; r < ranks; ++r) {
      std::byte* const place = scratch_.get() + r * bytes;
      parts_.push_back(r == me ? static_cast<void const*>(part_of(me).data()) : place);
      if (r == me || bytes == 0) continue;
      requests_.emplace_back();
      check(MPI_Irecv(place, static_cast<int>(bytes), MPI_BYTE, static_cast<int>(r), tag, comm_.native(),
                      &requests_.back()),
            "MPI_Irecv");
    }
    for (std::size_t step = 1; step < ranks; ++step) {
      // Everyone begins with the next rank, so that not all send to rank 0 first.
      std::size_t const r = (me + step) % ranks;
      auto const part = part_of(r);
      if (part.empty()) continue;
      requests_.emplace_back();
      check(MPI_Isend(part.data(), static_cast<int>(part.size()), MPI_BYTE, static_cast<int>(r), tag, comm_.native(),
                      &requests_.back()),
            "MPI_Isend");
    }
    check(MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE), "MPI_Waitall");
    if (count > 0) ordered_reduce(out, parts_, count, type, op);
  }

  /// Everyone's part of `total` bytes to everyone, in place; parts have `part` bytes, the last ones fewer.
  void gather_parts(std::byte* data, std::size_t part, std::size_t total) {
    counts_.clear();
    starts_.clear();
    for (std::size_t r = 0; r < static_cast<std::size_t>(size()); ++r) {
      std::size_t const begin = std::min(r * part, total);
      starts_.push_back(static_cast<int>(begin));
      counts_.push_back(static_cast<int>(std::min(begin + part, total) - begin));
    }
    check(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, counts_.data(), starts_.data(), MPI_BYTE,
                         comm_.native()),
          "MPI_Allgatherv");
  }

  void grow(std::size_t bytes) {
    if (bytes <= capacity_) return;
    scratch_.reset(static_cast<std::byte*>(::operator new(bytes, alignment)));
    capacity_ = bytes;
  }

  static constexpr int tag = 1;
  static constexpr std::align_val_t alignment{64};
  struct Freed {
    void operator()(std::byte* memory) const { ::operator delete(memory, alignment); }
  };

  Communicator comm_;
  std::unique_ptr<std::byte, Freed> scratch_;  // kept between calls
  std::size_t capacity_ = 0;
  std::vector<void const*> parts_;
  std::vector<MPI_Request> requests_;
  std::vector<int> counts_, starts_;
};

}  // namespace

std::unique_ptr<Collectives> mpi_collectives(Communicator comm) {
  return std::make_unique<MpiCollectives>(std::move(comm));
}

}  // namespace refrain::comm
