#pragma once

#include <refrain/study/options.hpp>

namespace refrain::study {

/// Runs the subcommand that was chosen. @throws Error for an unsuitable environment or allocation, or a failed program
Exit run(Options const& options);

}  // namespace refrain::study
