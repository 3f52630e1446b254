#pragma once

#include <refrain/study/process.hpp>
#include <refrain/study/slurm.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace refrain::study {

/// How the ranks of a parallel job are started.
struct Launcher {
  Words words;  ///< what stands before the program; empty: the program is started by itself, on one rank
  Variables
      variables;  ///< OMP_NUM_THREADS, where it is not set: one thread a CPU of the rank's; and what srun must not see

  /// The launcher's words, then the program's.
  Words before(Words const& program) const;
  /// The same as a person would type it, variables first.
  std::string show(Words const& program) const;
};

/// The srun line of an allocation. Tasks and CPUs a task are always given: srun does not inherit the latter.
/// `mpi` is a type of `srun --mpi=list`.
Words srun_line(std::string const& mpi, Allocation const& allocation);

/// Those of pmix, pspmix and pmi2 that `srun --mpi=list` printed, in this order.
Words mpi_types(std::string const& listing);

/// The line of what a failed start printed that says most: ours, if there is one, else the first.
std::string telling_line(std::string const& text);

/// @throws Error unless the program that these words of a launcher begin with, if any, is a path or in PATH
void require_launcher(Words const& words);

/// Chooses the launcher. `wanted` is REFRAIN_LAUNCHER or --launcher: "srun", "mpirun", a whole command, or empty, which
/// is srun in a Slurm job, and elsewhere mpirun over `tensor_parallel` ranks. For srun, the types are tried until one
/// gives an MPI world of all tasks; `probe` is a program that checks that (comm/launch.hpp, REFRAIN_CHECK_WORLD).
/// @throws Error if none does, with what each said
Launcher choose_launcher(std::string const& wanted, std::optional<Allocation> const& allocation, int tensor_parallel,
                         std::filesystem::path const& probe);

}  // namespace refrain::study
