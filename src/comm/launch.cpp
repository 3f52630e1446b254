#include <refrain/base/counted.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/launch.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/comm/device.hpp>
#include <refrain/comm/launch.hpp>
#include <refrain/comm/mpi_session.hpp>

#include "ending.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <sstream>

namespace refrain::comm {
namespace {

/// "Open MPI v4.1.4", of a text that goes on for lines.
std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  if (MPI_Get_library_version(text, &length) != MPI_SUCCESS) return "unknown";
  std::string const all(text, static_cast<std::size_t>(length));
  std::string line = all.substr(0, all.find_first_of(",\n"));
  std::replace(line.begin(), line.end(), '\t', ' ');
  return line;
}

/// What `body` gave or threw.
template <class Body>
Outcome outcome_of(Body body) {
  try {
    return {.exit = body()};
  } catch (std::exception const& thrown) {
    return Outcome::of(thrown);
  }
}

int run_with_mpi(int argc, char** argv, std::string const& program, LaunchEnvironment const& environment,
                 Job const& job, Outcome const& before) {
  MpiSession const session(argc, argv);
  Communicator const world = Communicator::world();
  // Processes that do not know of each other all have MPI rank 0; the launcher's rank tells them apart.
  enable_log(world.rank() == 0 && environment.rank == 0);
  Outcome outcome = before;
  if (before.line.empty()) {
    outcome = outcome_of([&] {
      require_same_world(environment, world.size());
      return Exit::success;
    });
    if (!outcome.line.empty()) outcome.printed = environment.rank != 0;
  }
  if (outcome.line.empty()) outcome = outcome_of([&] { return job.run(world); });
  return static_cast<int>(end_together(world, program, outcome));
}

/// Answers whether the launcher works: exit 0 if the world has `ranks` ranks, and, where REFRAIN_CHECK_DEVICES is set,
/// a GPU each that NCCL connects.
int check_world(int argc, char** argv, std::string const& program, LaunchEnvironment const& environment, int ranks) {
  enable_log(environment.rank == 0);
  return run_guarded(program, [&] {
    MpiSession const session(argc, argv);
    int const size = Communicator::world().size();
    require_same_world(environment, size);
    if (size != ranks) throw Error("MPI has " + counted(size, "rank") + " instead of " + std::to_string(ranks));
    if (std::getenv("REFRAIN_CHECK_DEVICES")) try_devices(Communicator::world());
    return Exit::success;
  });
}

}  // namespace

int launch(int argc, char** argv, Job const& job) {
  set_private_umask();
  if (job.stops_on_signals) install_stop_handlers();
  add_library("MPI", mpi_library());
  LaunchEnvironment const environment = LaunchEnvironment::detect();
  bool const speaks = environment.rank == 0;
  OptionTable table = job.declare();
  std::string const program = "refrain-" + table.program();
  if (char const* ranks = std::getenv("REFRAIN_CHECK_WORLD"))
    return check_world(argc, argv, program, environment, std::atoi(ranks));

  // Every rank parses before MPI starts, so that a wrong command line is answered at once and before MPI's own
  // messages.
  std::ostringstream unheard;
  bool asked_for_text = false;
  Outcome before = outcome_of([&] {
    asked_for_text = !table.parse(argc, argv, speaks ? std::cout : unheard);
    if (asked_for_text) return Exit::success;
    if (job.parsed) job.parsed(table);
    job.validate();
    return Exit::success;
  });
  if (asked_for_text) return 0;
  if (!before.line.empty()) {
    before.printed = true;
    if (speaks) print_error(program, Error(before.line));
    // Ranks can differ in what they find (a file that one node lacks), so that they must hear of each other to end.
    if (environment.size == 1) return static_cast<int>(before.exit);
    before.printed = speaks;
  }

  try {
    if (before.line.empty() && job.mpi() == MpiStart::when_launched && !environment.launched) {
      enable_log(true);
      return run_guarded(program, [&] { return job.run(Communicator::single()); });
    }
    return run_with_mpi(argc, argv, program, environment, job, before);
  } catch (std::exception const& error) {  // MPI itself does not start
    print_error(program, error);
    return static_cast<int>(exit_code_of(error));
  }
}

}  // namespace refrain::comm
