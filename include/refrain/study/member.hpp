#pragma once

#include <refrain/study/options.hpp>

namespace refrain::study {

/// Trains one member of a configuration's sweep, from preference files to final/, or as far as its job's time goes:
/// pairs under a lock, launcher, signals, requeue.
/// @returns stopped_early if the caller has to start it again: outside Slurm
/// @throws Error for an unsuitable environment or allocation, and if training failed
Exit run_member(Options const& options);

}  // namespace refrain::study
