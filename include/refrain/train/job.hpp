#pragma once

#include <refrain/train/options.hpp>

namespace refrain::train {

/// refrain-train: sets the parts of a run up, resumes if there is something to resume from, and trains.
/// @collective @throws Error @returns success, or stopped_early after a checkpoint
Exit run(Options const& options, comm::Communicator const& world);

}  // namespace refrain::train
