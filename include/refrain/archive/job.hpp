#pragma once

#include <refrain/archive/options.hpp>
#include <refrain/base/error.hpp>

namespace refrain::archive {

/// Does what `options.command` says. @returns failure if `verify` found something wrong or `diff` found a difference,
/// stopped_early if a signal came before an archive or what is restored was complete: nothing is left then
/// @throws Error; of `diff` always a UsageError, since 1 means there that the runs differ
Exit run(Options const& options);

}  // namespace refrain::archive
