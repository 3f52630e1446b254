#pragma once

#include <refrain/study/configuration.hpp>
#include <refrain/study/options.hpp>
#include <refrain/study/settings.hpp>
#include <refrain/study/sweep.hpp>

namespace refrain::study {

/// Trains one member of a configuration's sweep, from preference files to final/, or as far as its job's time goes:
/// pairs under a lock, launcher, signals, requeue.
/// @returns stopped_early if the caller has to start it again: outside Slurm
/// @throws Error for an unsuitable environment or allocation, and if training failed
Exit run_member(Options const& options);

/// The refrain-train line of a member: on pairs.h5 of its configuration's folder in REFRAIN_RUNS.
/// @throws Error for REFRAIN_TRAIN_ARGS that set what the study or the sweep sets
Words train_line(Configuration const& configuration, SweepMember const& member, Settings const& settings);

}  // namespace refrain::study
