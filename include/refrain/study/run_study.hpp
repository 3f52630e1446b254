#pragma once

#include <refrain/study/options.hpp>

namespace refrain::study {

/// Submits all jobs of a study that are neither made nor under way, each behind those that it needs, as many as the
/// site lets one user have; where more are left, a job of slurm/study.sh calls this again once half of those under way
/// have ended. Called by a person, it submits again what has failed, after saying where to look; called by that job
/// (--wave) it leaves that to a person. With --dry-run it prints the graph, the sbatch lines and the planner's figures
/// instead.
/// @throws Error for a study's file that is wrong, another `run` at work, a site that has no place for one more job,
///   and in a wave for failures that hold up all the rest
Exit run_study(Options const& options);

}  // namespace refrain::study
