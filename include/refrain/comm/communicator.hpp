#pragma once

#include <refrain/base/error.hpp>

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace refrain::comm {

/// A group of ranks. Copies share one handle; the last copy frees it. Every MPI return code is checked: all that
/// communicates @throws Error naming the MPI call that failed.
class Communicator {
public:
  static Communicator world();   ///< @pre an MpiSession lives, or a single process runs without MPI
  static Communicator single();  ///< this process alone; needs no MPI at all

  /// Ranks with the same color, ordered by key. @collective
  Communicator split(int color, int key) const;
  /// Ranks on the same node. @collective
  Communicator split_by_node() const;

  int rank() const noexcept;
  int size() const noexcept;
  MPI_Comm native() const noexcept;  ///< MPI_COMM_NULL without MPI

  void barrier() const;  ///< @collective
  /// Fills everyone's bytes with root's. @pre as many on every rank. @collective
  void broadcast(std::span<std::byte> bytes, int root) const;
  std::string broadcast(std::string const& text, int root) const;  ///< root's text. @collective
  /// Everyone's text, in rank order, on root; nothing on other ranks. Texts may differ in length. @collective
  std::vector<std::string> gather(std::string const& text, int root) const;
  std::vector<std::string> all_gather(std::string const& text) const;  ///< the same on every rank. @collective

  // Of everyone's value; all_gather has them in rank order.
  int64_t sum(int64_t value) const;                      ///< @collective
  int64_t max(int64_t value) const;                      ///< @collective
  int64_t min(int64_t value) const;                      ///< @collective
  double max(double value) const;                        ///< @collective
  std::vector<int64_t> all_gather(int64_t value) const;  ///< @collective

private:
  struct State;
  explicit Communicator(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

/// What `agree` throws: the failure of the lowest rank that failed, with that failure's exit code, on every rank. The
/// rank stands in the Place where only some ranks failed (and not rank 0 alone, which works for all of them).
class AgreedError : public Error {
public:
  /// @param ranks how many throw it together
  AgreedError(std::string problem, std::string remedy, Place place, Exit exit, int ranks)
      : Error(std::move(problem), std::move(remedy), std::move(place)), exit_(exit), ranks_(ranks) {}
  Exit exit_code() const noexcept override { return exit_; }
  int ranks() const noexcept { return ranks_; }

private:
  Exit exit_;
  int ranks_;
};

/// Runs `work` on every rank; if it throws on any, every rank throws the same AgreedError. So a failure on one rank
/// ends the job in order and not in a hang. `work` must not contain a collective that one rank can leave early.
/// @collective
void agree(Communicator const& comm, std::function<void()> const& work);

}  // namespace refrain::comm
