#include "ending.hpp"

#include <refrain/base/launch.hpp>

#include "mpi_check.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace refrain::comm {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

void print_line(std::string const& program, std::string const& line) { print_error(program, Error(line)); }

/// Ends all ranks from this one. The line is given time to reach the user before the launcher's own words do.
[[noreturn]] void abort_all(std::string const& program, Outcome const& mine, int rank) {
  std::string const prefix = "rank " + std::to_string(rank) + ": ";
  if (!mine.printed) print_line(program, mine.line.starts_with("rank ") ? mine.line : prefix + mine.line);
  std::this_thread::sleep_for(300ms);
  MPI_Abort(MPI_COMM_WORLD, static_cast<int>(mine.exit));
  std::_Exit(static_cast<int>(mine.exit));
}

/// Whether all ranks come here before this one loses patience.
bool all_arrive(Communicator const& world, Outcome const& mine) {
  MPI_Request request = MPI_REQUEST_NULL;
  if (MPI_Ibarrier(world.native(), &request) != MPI_SUCCESS) return false;
  // Ranks that failed alone give up one after the other, so that only the first is heard.
  auto const patience = mine.together >= world.size() ? 60'000ms : 1000ms + 100ms * std::min(world.rank(), 20);
  auto const until = Clock::now() + patience;
  for (auto pause = 50us;; pause = std::min(2 * pause, std::chrono::microseconds(10ms))) {
    int done = 0;
    if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
    if (done) return true;
    if (!mine.line.empty() && Clock::now() > until) return false;
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace

Outcome Outcome::of(std::exception const& thrown) {
  auto const* agreed = dynamic_cast<AgreedError const*>(&thrown);
  return {.exit = exit_code_of(thrown), .line = error_text(thrown), .together = agreed ? agreed->ranks() : 0};
}

Exit end_together(Communicator const& world, std::string const& program, Outcome const& mine) {
  if (world.size() == 1) {
    if (!mine.line.empty() && !mine.printed) print_line(program, mine.line);
    return mine.exit;
  }
  if (!all_arrive(world, mine)) abort_all(program, mine, world.rank());

  auto const lines = world.all_gather(mine.line);
  auto const exits = world.all_gather(static_cast<int64_t>(mine.exit));
  auto const printed = world.broadcast(std::string(mine.printed ? "1" : ""), 0);
  auto const failed = std::find_if(lines.begin(), lines.end(), [](auto const& line) { return !line.empty(); });
  if (failed == lines.end()) {
    // Someone stopped early: the work is not done, whatever the others say.
    for (Exit const code : {Exit::failure, Exit::usage, Exit::stopped_early})
      if (std::find(exits.begin(), exits.end(), static_cast<int64_t>(code)) != exits.end()) return code;
    return Exit::success;
  }
  auto const rank = failed - lines.begin();
  bool const same = std::all_of(lines.begin(), lines.end(), [&](auto const& line) { return line == *failed; });
  if (world.rank() == 0 && !(rank == 0 && !printed.empty()))
    print_line(program,
               same || failed->starts_with("rank ") ? *failed : "rank " + std::to_string(rank) + ": " + *failed);
  return Exit{static_cast<int>(exits[static_cast<std::size_t>(rank)])};
}

}  // namespace refrain::comm
