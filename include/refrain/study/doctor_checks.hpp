#pragma once

#include <refrain/study/doctor.hpp>
#include <refrain/study/settings.hpp>
#include <refrain/study/slurm.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

/// What the doctor looks at, a function each. None throws for what is broken: that is a finding.
namespace refrain::study {

/// The variables that are set, and those that training cannot do without: whether they name what they should.
Findings check_variables(Environment const& environment, std::optional<Allocation> const& allocation);

/// The other jobs' programs beside this one: whether they start, are of one version, and with which libraries.
Findings check_programs();

/// Whether refrain-train is built for GPUs.
bool built_for_gpus();

/// How many GPUs this host shows its tasks, and whether refrain-train is built for them.
Findings check_devices(std::optional<Allocation> const& allocation);

/// Whether the ranks of a job find each other: by srun or what REFRAIN_LAUNCHER says in a job, by mpirun outside; and
/// in a job whether NCCL connects their GPUs, if the build is for GPUs, and whether all nodes write to `runs`. `wanted`
/// is the launcher that is asked for, or empty.
Findings check_launcher(std::string const& wanted, std::optional<Allocation> const& allocation,
                        std::filesystem::path const& runs);

/// Whether files in `runs`, or where it will be made, can be created exclusively, synced, renamed over others and
/// linked, and two processes do not both get a lock. What is tried is removed again.
Findings check_runs_folder(std::filesystem::path const& runs);

/// `folder`, or the nearest one above it that this user can see.
std::filesystem::path nearest_folder(std::filesystem::path folder);

/// Free space and quota where `runs` is, against what members of the sweep may write by REFRAIN_MODEL and
/// REFRAIN_TRAIN_ARGS. Without a model that is not known.
Findings check_space(std::filesystem::path const& runs, Environment const& environment, std::optional<double> disk_tb,
                     int64_t members);

/// Slurm's settings that decide how jobs here live, and this job's own. `members` of the sweep are an array.
Findings check_slurm(Environment const& environment, std::optional<Allocation> const& allocation, int64_t members);

/// Bytes that `lfs quota -q` says are left until the limit; none where there is no limit, or for other text.
std::optional<double> quota_left(std::string const& text);

}  // namespace refrain::study
