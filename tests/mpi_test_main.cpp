// Catch's main of the MPI tests: every rank runs all cases, and the program fails on all ranks if a case fails on any.
// Ranks whose cases pass print nothing, except rank 0's summary.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include <refrain/comm/communicator.hpp>
#include <refrain/comm/mpi_session.hpp>

#include <cstdio>
#include <iostream>
#include <sstream>

int main(int argc, char** argv) {
  refrain::comm::MpiSession const mpi(argc, argv);
  auto const world = refrain::comm::Communicator::world();

  // A rank that leaves a collective by a failed assertion leaves the others in it: CTest's time limit ends those, so
  // what failed is printed as it happens and not at the end.
  std::ostringstream quiet;
  std::streambuf* const screen = std::cout.rdbuf();
  if (world.rank() != 0) std::cout.rdbuf(quiet.rdbuf());
  Catch::Session session;
  session.configData().useColour = Catch::UseColour::No;  // mpirun gives rank 0 a terminal that is none
  int failed = session.applyCommandLine(argc, argv);
  if (failed == 0) failed = session.run();
  std::cout.rdbuf(screen);
  if (failed != 0 && world.rank() != 0) std::fprintf(stderr, "on rank %d:\n%s", world.rank(), quiet.str().c_str());
  return world.max(int64_t{failed}) == 0 ? 0 : 1;
}
