#pragma once

#include <refrain/base/error.hpp>
#include <refrain/comm/communicator.hpp>

#include <exception>
#include <string>

namespace refrain::comm {

/// How one rank came to its end.
struct Outcome {
  Exit exit = Exit::success;
  std::string line;      ///< what it threw; empty if it threw nothing
  int together = 0;      ///< ranks known to throw the same (`agree`); 0 if not known
  bool printed = false;  ///< rank 0 printed its line already

  static Outcome of(std::exception const& thrown);
};

/// The end of a job on all ranks. Where all arrive, one line is printed for all of them (the lowest rank's that
/// failed), and everyone returns the same exit code. Where this rank failed and others do not arrive soon, it prints
/// its line and ends them all by MPI_Abort. Ranks that did their work wait. @collective
Exit end_together(Communicator const& world, std::string const& program, Outcome const& mine);

}  // namespace refrain::comm
