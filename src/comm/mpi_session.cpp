#include <refrain/base/error.hpp>
#include <refrain/comm/mpi_session.hpp>

#include "mpi_check.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace refrain::comm {
namespace {

/// The first of the variables that is set, or -1.
int first_of(std::initializer_list<char const*> names) {
  for (char const* name : names)
    if (char const* value = std::getenv(name); value && *value) return std::atoi(value);
  return -1;
}

}  // namespace

MpiSession::MpiSession(int& argc, char**& argv) {
  int provided = 0;
  check(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  if (provided < MPI_THREAD_FUNNELED)
    throw Error("this MPI allows no threads beside it", "use an MPI library built with MPI_THREAD_FUNNELED");
}

MpiSession::~MpiSession() { MPI_Finalize(); }

LaunchEnvironment LaunchEnvironment::detect() {
  LaunchEnvironment found;
  // Open MPI's mpirun and PMIx; Hydra, PMI-1 and PMI-2 (MPICH, ParaStation, Intel); MVAPICH; Cray PALS and ALPS.
  int const size = first_of({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "PALS_SIZE"});
  int const rank =
      first_of({"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "PALS_RANKID", "ALPS_APP_PE"});
  // A batch script or a shell in an allocation is a step of one task, so only more than one counts.
  int const tasks = first_of({"SLURM_STEP_NUM_TASKS"});
  found.launched = size > 0 || rank >= 0 || tasks > 1;
  found.size = std::max(1, size > 0 ? size : tasks);
  found.rank = std::max(0, rank >= 0 ? rank : tasks > 1 ? first_of({"SLURM_PROCID"}) : 0);
  return found;
}

void require_same_world(LaunchEnvironment const& environment, int world_size) {
  if (world_size > 1 || environment.size <= 1) return;
  throw UsageError("the launcher started " + std::to_string(environment.size) +
                       " processes, but MPI sees only one: each would do the whole job",
                   "start with srun --mpi=pmix (srun --mpi=list names others), or with this MPI's own mpirun");
}

}  // namespace refrain::comm
