#pragma once

namespace refrain::comm {

/// MPI from here to the end of the scope. Errors come back as codes, which every call checks.
class MpiSession {
public:
  /// @throws Error if MPI cannot start, or lacks MPI_THREAD_FUNNELED
  MpiSession(int& argc, char**& argv);
  ~MpiSession();
  MpiSession(MpiSession const&) = delete;
  MpiSession& operator=(MpiSession const&) = delete;
};

/// What the launcher (mpirun, srun) says in the environment, before MPI runs.
struct LaunchEnvironment {
  bool launched = false;  ///< by something that starts several processes
  int size = 1;           ///< processes that it says it started; 1 if it does not say
  int rank = 0;           ///< of this process; 0 if it does not say

  /// From the variables of Open MPI, PMI and PMIx (MPICH, Intel MPI, ParaStation), MVAPICH, Cray and Slurm.
  static LaunchEnvironment detect();
};

/// @throws UsageError if the launcher started several processes and MPI sees only this one: each would do the whole
/// job.
void require_same_world(LaunchEnvironment const& environment, int world_size);

}  // namespace refrain::comm
