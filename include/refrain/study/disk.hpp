#pragma once

#include <refrain/study/slurm.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace refrain::study {

/// Parameters of the model in a folder, Hugging Face's or a checkpoint, by the shapes that its files tell.
/// @throws Error if there are none
double count_parameters(std::filesystem::path const& model);

/// Bytes that one member writes at most: two resumable checkpoints side by side for a moment (fp32 master values and
/// two moments, 12 bytes a parameter each) and final/ (4 bytes at most). @throws Error as count_parameters
double peak_disk_bytes(std::filesystem::path const& model);

/// How many members may run at once so that they write no more than REFRAIN_DISK_TB allows; none without it.
/// @throws Error if it is too little for one
std::optional<int64_t> members_at_once(Settings const& settings);

/// Compares what the members of an array that run at once need with REFRAIN_DISK_TB. Nothing without it.
/// @throws Error with the sbatch line that throttles the array enough
void check_disk(Settings const& settings, std::optional<Allocation> const& allocation, Environment const& environment,
                std::string const& script);

/// N of `--array=0-11%N` in what `scontrol show job ARRAY` prints, 0 where the array is not throttled.
int array_throttle(std::string const& records);

}  // namespace refrain::study
