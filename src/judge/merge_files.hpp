#pragma once

#include <refrain/judge/options.hpp>

namespace refrain::judge {

/// --judge merge. @throws Error, UsageError
void merge_files(Options const& options);

}  // namespace refrain::judge
