#pragma once

#include <refrain/checkpoint/writer.hpp>
#include <refrain/comm/parallel_layout.hpp>
#include <refrain/train/optimizer.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace refrain::train {

/// Where a run stands, beside its tensors. The order of the pairs follows from the step and the seed.
struct TrainingState {
  int64_t step = 0;  ///< optimizer steps done
  double epoch = 0;
  double num_tokens = 0;  ///< as TRL counts: cumulative, the prompt once for each answer
};

/// What checkpoints of one run have in common.
struct CheckpointContext {
  comm::ParallelLayout const& layout;
  std::filesystem::path small_files_from;
  Json provenance, identity;
  std::map<std::string, std::string> small_files = {};  ///< added to those copied: adapter_config.json
};

/// Writes a resumable checkpoint: master weights and moments of what is trained. @collective @throws the same Error on
/// every rank
void save_state(std::filesystem::path const& folder, TrainingState const& state, Optimizer const& optimizer,
                CheckpointContext const& context, checkpoint::ReadBack read_back);

/// Writes the trained weights alone, as `dtype`. @collective @throws the same Error on every rank
void save_final(std::filesystem::path const& folder, Optimizer const& optimizer, CheckpointContext const& context,
                DType dtype, checkpoint::ReadBack read_back);

/// Where the run of a resumable checkpoint stood, without reading tensors.
/// @throws Error if it is not resumable, UsageError if it belongs to a run with another identity
TrainingState read_training_state(std::filesystem::path const& folder, Json const& identity);

/// Master weights and moments of a resumable checkpoint that any layout wrote, into the part of them that this rank's
/// `optimizer` owns: `publish` it then. @throws Error naming file and object
void load_optimizer(std::filesystem::path const& folder, Optimizer& optimizer);

}  // namespace refrain::train
