#pragma once

#include <refrain/base/launch.hpp>
#include <refrain/base/options.hpp>
#include <refrain/comm/communicator.hpp>

#include <functional>

namespace refrain::comm {

/// When a job starts MPI.
enum class MpiStart {
  always,
  when_launched,  ///< only under mpirun or srun, since login nodes may refuse MPI_Init
};

/// What `launch` needs of a job.
struct Job {
  std::function<OptionTable()> declare;                 ///< binds the job's options struct
  std::function<void(OptionTable const&)> parsed = {};  ///< keeps what it wants of the parsed table (its record)
  std::function<void()> validate;                       ///< what one option alone cannot know
  std::function<Exit(Communicator const&)> run;
  std::function<MpiStart()> mpi;  ///< asked after parsing
  bool stops_on_signals = false;  ///< a stop is noted from the first moment on (install_stop_handlers), not deadly
};

/// The one main of all jobs: parses, starts MPI where the job is parallel, runs, and prints what was thrown once, as
/// one line with its rank. An exception on one rank alone ends all ranks (MPI_Abort after the line is printed). Where
/// the environment has REFRAIN_CHECK_WORLD=N, no job runs: MPI starts, and the exit code says whether its world has N
/// ranks (refrain-study tries launchers so), and with REFRAIN_CHECK_DEVICES whether NCCL connects a GPU of each.
int launch(int argc, char** argv, Job const& job);

/// Main of a job whose `Options` has `static OptionTable table(Options&)`, `void validate()` and
/// `MpiStart mpi() const`. If it has a member `Json record`, that becomes the record of all options, for `Provenance`;
/// if it has a `static constexpr bool stops_on_signals`, that is the job's.
template <class Options>
int launch(int argc, char** argv, Exit (*run)(Options const&, Communicator const&)) {
  Options options;
  return launch(argc, argv,
                Job{.declare = [&] { return Options::table(options); },
                    .parsed = [&](OptionTable const& table) { keep_record(table, options); },
                    .validate = [&] { options.validate(); },
                    .run = [&](Communicator const& world) { return run(options, world); },
                    .mpi = [&] { return options.mpi(); },
                    .stops_on_signals = requires { requires Options::stops_on_signals; }});
}

}  // namespace refrain::comm
