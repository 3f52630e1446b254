#pragma once

#include <refrain/base/error.hpp>

#include <functional>
#include <string>

namespace refrain {

/// Prints `error` as the one line that a user sees: `refrain-train: ...`.
void print_error(std::string const& program, std::exception const& error);

/// Runs `body`, prints what it throws as one line, and returns the exit code. For programs without MPI; those with
/// MPI start through comm/launch.hpp.
int run_guarded(std::string const& program, std::function<Exit()> const& body);


}  // namespace refrain
