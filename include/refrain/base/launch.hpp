#pragma once

#include <refrain/base/error.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/options.hpp>

#include <functional>
#include <iostream>
#include <string>

namespace refrain {

/// What a user reads of any exception: an Error's line, and one line for those of libraries.
std::string error_text(std::exception const& error);

/// An Error's exit code; Exit::failure for anything else.
Exit exit_code_of(std::exception const& error) noexcept;

/// Prints `error` as the one line that a user sees: `refrain-train: ...`.
void print_error(std::string const& program, std::exception const& error);

/// Runs `body`, prints what it throws as one line, and returns the exit code. For programs without MPI; those with
/// MPI start through comm/launch.hpp.
int run_guarded(std::string const& program, std::function<Exit()> const& body);

/// Puts the record of all options into `options.record` where there is such a member.
template <class Options>
void keep_record(OptionTable const& table, Options& options) {
  if constexpr (requires { options.record = table.record(); }) options.record = table.record();
}

/// Main of a job without MPI whose `Options` has `static OptionTable table(Options&)` and `void validate()`, and may
/// have a member `Json record`, which becomes the record of all options, for `Provenance`.
template <class Options>
int launch_serial(int argc, char** argv, Exit (*run)(Options const&)) {
  Options options;
  OptionTable table = Options::table(options);
  return run_guarded("refrain-" + table.program(), [&] {
    if (!table.parse(argc, argv, std::cout)) return Exit::success;
    keep_record(table, options);
    options.validate();
    enable_log(true);
    return run(options);
  });
}

}  // namespace refrain
