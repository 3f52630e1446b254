#pragma once

#include <refrain/base/run_disk.hpp>
#include <refrain/checkpoint/model_config.hpp>
#include <refrain/train/run_layout.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <utility>

namespace refrain::train {

/// Memory of a rank in bytes, above what the process has before the model: what is held all the time, and what a
/// micro-batch adds at its highest.
struct RankMemory {
  int64_t parameters = 0;        ///< weights, or this rank's shard of them
  int64_t gathered = 0;          ///< whole units that were gathered from shards
  int64_t gradients = 0;         ///< the step's, or this rank's shard of them
  int64_t gradient_buffers = 0;  ///< units whose gradients are on their way to the data ranks
  int64_t optimizer = 0;         ///< master weights where the weights are not fp32, and both moments
  int64_t state_copy = 0;        ///< what a checkpoint is written from while training goes on, in host memory
  int64_t kept = 0;              ///< activations that wait for backward
  int64_t block = 0;             ///< the block in work: values and gradients that pass through it
  int64_t head = 0;              ///< the logits chunk, and what the output matrix needs beside it
  int64_t communication = 0;     ///< scratch memory of collectives
  int64_t runtime = 0;           ///< what libraries take once work begins

  /// The block in work and the head take turns.
  int64_t total() const noexcept;
  /// Parts with their names, in this order.
  std::array<std::pair<char const*, int64_t>, 11> parts() const;
};

/// From sizes alone: what ParameterStore, Optimizer, StepEngine and the head allocate for a micro-batch of this shape.
/// @throws Error if the tensor degree does not divide the model
RankMemory rank_memory(checkpoint::ModelConfig const& config, RunLayout const& layout, Formats const& formats,
                       PairWork const& longest);

/// None: the model itself is trained.
using Adapter = std::optional<checkpoint::AdapterConfig>;

/// Parameters of the whole model, its adapter's too.
int64_t parameter_count(checkpoint::ModelConfig const& config, Adapter const& adapter = {});
/// Those of them that are trained: all, or the adapter's.
int64_t trained_count(checkpoint::ModelConfig const& config, Adapter const& adapter = {});

/// What a run keeps on disk; final/ has the model's own type.
RunDisk run_disk(checkpoint::ModelConfig const& config, Adapter const& adapter = {});

}  // namespace refrain::train
