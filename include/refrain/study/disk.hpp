#pragma once

#include <refrain/study/configuration.hpp>
#include <refrain/study/model_tensors.hpp>
#include <refrain/study/slurm.hpp>
#include <refrain/study/sweep.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// Bytes that a run of refrain-train with these options writes at most (RunDisk): of the model's parameters, or, with
/// --lora-rank or --init-adapter, of an adapter's. @throws Error as model_tensors
double peak_disk_bytes(std::filesystem::path const& model, Words const& train_options = {});

/// What REFRAIN_DISK_TB allows the members of a sweep that run at once.
struct DiskLimit {
  double allowed = 0;  ///< bytes
  double each = 0;     ///< bytes that the member which writes most writes at most

  /// How many may run at once. @throws Error if it is too little for one
  int64_t members() const;
};

/// By the options of the configuration, of the sweep and of REFRAIN_TRAIN_ARGS. Nothing without REFRAIN_DISK_TB, since
/// all weights files are looked into for it. @throws Error as model_tensors
std::optional<DiskLimit> disk_limit(Settings const& settings, Configuration const& configuration,
                                    std::vector<SweepMember> const& members);

/// Compares what the members of an array that run at once need with the limit.
/// @throws Error with the sbatch line that throttles the array enough
void check_disk(DiskLimit const& limit, std::optional<Allocation> const& allocation, Environment const& environment,
                std::string const& script);

/// N of `--array=0-11%N` in what `scontrol show job ARRAY` prints, 0 where the array is not throttled.
int array_throttle(std::string const& records);

}  // namespace refrain::study
