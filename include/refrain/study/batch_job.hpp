#pragma once

#include <refrain/base/error.hpp>
#include <refrain/study/launcher.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// The job that a subcommand runs in. How its programs are started, stopped and taken up again is the same for training
/// and for all that follows it.
struct BatchJob {
  std::optional<Allocation> allocation;  ///< none outside Slurm
  std::string script;                    ///< slurm/NAME.sh, for messages and as a fallback

  /// Slurm's id, or empty.
  std::string id() const;
};

/// The other jobs' programs stand beside this one: refrain-NAME.
std::filesystem::path program(std::string const& name);

/// A parallel program that keeps finished rows in OUT.parts until all of them make OUT.
struct RowsProgram {
  std::string what;  ///< "answers", for messages
  Words line;        ///< program and options
  std::vector<std::filesystem::path> outs;
};

/// Starts the program's ranks once no other job makes one of its outputs (OUT.lock), and records the start beside the
/// first of them. @pre install_stop_handlers was called, and the outputs' folders are there
/// @returns and throws as perform (work.hpp)
Exit run_rows(BatchJob const& job, Launcher const& launcher, RowsProgram const& program);

}  // namespace refrain::study
