#pragma once

#include <refrain/train/options.hpp>

namespace refrain::train {

/// `refrain-train --plan`: prints what a run would take on the given nodes; needs config.json alone of --init.
/// @throws UsageError for unknown machines and layouts that cannot be
void print_plan(Options const& options);

}  // namespace refrain::train
