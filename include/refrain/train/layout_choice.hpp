#pragma once

#include <refrain/comm/communicator.hpp>
#include <refrain/model/backend.hpp>
#include <refrain/train/options.hpp>
#include <refrain/train/planner.hpp>

#include <filesystem>
#include <optional>

namespace refrain::train {

/// What the options fix of a layout.
LayoutWishes wishes_of(Options const& options);

/// Number type of the weights. @throws UsageError for fp32 on a GPU
DType weights_type(Options const& options, DeviceKind device);

/// Number types and buffers that the options ask for.
Formats formats_of(Options const& options, Adapter const& adapter, DType weights, DeviceKind device);

/// Batches and steps that the options make of such pairs.
Workload workload_of(Options const& options, checkpoint::ModelConfig const& config, PairLengths lengths);

/// The layout of a run's ranks, and what it was predicted to take.
struct LayoutChoice {
  Candidate chosen;
  bool copies_state = false;      ///< for checkpoints while training goes on: not where the host's memory is too small
  std::optional<Error> too_much;  ///< what to say instead of making the model: it does not fit
};

/// What a run has: its ranks, and the GPU of this one, if any.
struct Hardware {
  comm::Communicator const& world;
  std::optional<model::GpuInfo> const& gpu;
};

/// What the options give, else what the run (or the checkpoint that it goes on from) has had, if on as many ranks, else
/// the planner's choice for the memory that is free. @throws UsageError for layouts that cannot be. @collective
LayoutChoice choose_layout(Options const& options, checkpoint::ModelConfig const& config, Formats const& formats,
                           PairLengths const& lengths, Hardware const& hardware);

/// @throws UsageError if gradients are added up in bf16 (--grad-dtype weights) over several micro-batches of a step
void require_one_micro_batch(Formats const& formats, Workload const& workload, int data_size);

// As provenance and run.json have them: the layout, for the next start too; memory in bytes by part.
Json layout_json(RunLayout const& layout);
Json memory_json(int64_t before_model, RankMemory const& predicted);

}  // namespace refrain::train
