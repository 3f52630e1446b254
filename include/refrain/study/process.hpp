#pragma once

#include <refrain/study/words.hpp>

#include <map>
#include <string>

namespace refrain::study {

/// Variables that a started program gets besides, or (where empty) instead of, its parent's.
using Variables = std::map<std::string, std::string>;

/// What a program left.
struct Captured {
  int code = 0;      ///< its exit code; 128 + N after signal N, as shells say it; 127 if it could not be started
  std::string text;  ///< what was asked for of stdout and stderr
};

/// Whether stderr is read along with stdout.
enum class Stderr { inherit, capture };

/// Runs a program to its end and reads what it prints. @throws Error if no process can be made
Captured run_captured(Words const& command, Stderr err, Variables const& variables = {});

/// Runs a program to its end with our own stdout and stderr. If this process is asked to stop meanwhile, the program
/// gets SIGUSR1 until it ends, whatever signal came: srun kills its step on SIGTERM, and mpirun its ranks, where both
/// pass SIGUSR1 on. @pre install_stop_handlers was called
/// @returns the exit code as in Captured. @throws Error if no process can be made
int run_forwarding(Words const& command, Variables const& variables = {});

/// As run_forwarding, and keeps the end of what the program and its launcher said on stderr, which is passed on too:
/// why they ended stands there. @pre install_stop_handlers was called
/// @throws Error if no process can be made
Captured run_listening(Words const& command, Variables const& variables = {});

/// What a program said, up to the end of its first line.
std::string first_line(std::string const& text);

/// Whether a program is found in PATH.
bool in_path(std::string const& program);

}  // namespace refrain::study
