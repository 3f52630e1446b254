// A job that fails, stops and hangs as it is told: what launch_test.sh and watchdog_test.sh start.
#include <refrain/base/files.hpp>
#include <refrain/comm/launch.hpp>
#include <refrain/comm/mpi_session.hpp>
#include <refrain/comm/watchdog.hpp>

#include <chrono>
#include <cstdio>
#include <new>
#include <thread>

using namespace refrain;

namespace {

struct Options {
  std::string what = "nothing";
  int rank = -1;
  std::filesystem::path file, folder;
  double timeout = 0, seconds = 0;
  int steps = 1;
  bool always = true;

  static OptionTable table(Options& o) {
    OptionTable table("probe", "Fails as told.");
    table.add("what", o.what, "nothing, error, agreed, multiline, memory, early, slow, stuck")
        .add("rank", o.rank, "which rank does it; -1: all of them")
        .add("file", o.file, "must exist, on that rank")
        .add("folder", o.folder, "where the watchdog writes")
        .add("timeout", o.timeout, "of the watchdog")
        .add("seconds", o.seconds, "a slow step's length")
        .add("steps", o.steps, "steps of work", {.least = 0})
        .add("always", o.always, "start MPI without a launcher too");
    return table;
  }
  void validate() const {
    int const here = comm::LaunchEnvironment::detect().rank;
    if (!file.empty() && (rank < 0 || rank == here)) require_readable_file(file, "--file");
  }
  comm::MpiStart mpi() const { return always ? comm::MpiStart::always : comm::MpiStart::when_launched; }
};

void sleep_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

Exit work(Options const& options, comm::Communicator const& world) {
  bool const mine = options.rank < 0 || options.rank == world.rank();
  int started = 0;
  MPI_Initialized(&started);
  if (world.rank() == 0) std::printf("works, %s MPI\n", started ? "with" : "without"), std::fflush(stdout);
  comm::Watchdog watchdog(world, options.folder, options.timeout);

  if (options.what == "agreed")
    comm::agree(world, [&] {
      if (mine) throw Error("the disk is full", "free some", {.file = "a.h5"});
    });
  if (mine && options.what == "error") throw Error("the disk is full", "free some", {.file = "a.h5"});
  if (mine && options.what == "multiline")
    throw std::runtime_error("a tensor has the wrong shape\nframe #0: somewhere\nframe #1: else");
  if (mine && options.what == "memory") throw std::bad_alloc();
  if (options.what == "early") return mine ? Exit::stopped_early : Exit::success;

  for (int step = 1; step <= options.steps; ++step) {
    watchdog.progress("step " + std::to_string(step) + ": forward");
    if (mine && options.what == "slow")
      for (int part = 0; part < 20; ++part) {
        sleep_for(options.seconds / 20);
        watchdog.progress("step " + std::to_string(step) + ": part " + std::to_string(part));
      }
    if (mine && options.what == "stuck") sleep_for(options.seconds);
    sleep_for(0.05);
    world.barrier();
  }
  return Exit::success;
}

}  // namespace

int main(int argc, char** argv) { return comm::launch<Options>(argc, argv, work); }
