#pragma once

#include <refrain/model/parameter_store.hpp>
#include <refrain/train/plan.hpp>
#include <refrain/train/recompute.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace refrain::train {

/// How a run is spread over its ranks, and what they share, keep and compute again. Memory, traffic and time of a step
/// follow from it.
struct RunLayout {
  int tensor = 1, data = 1;
  model::Zero zero = model::Zero::none;
  model::SequenceParallel sequence = model::SequenceParallel::off;
  Recompute recompute = Recompute::none;

  int ranks() const noexcept { return tensor * data; }
  /// "tensor 4 x data 8, zero 3, recompute block"
  std::string text() const;
};

/// Where tensors live: what a product converts on the way, and what transfers hide behind, differ.
enum class DeviceKind { cpu, gpu };

/// What is trained, in which number types, and sizes of buffers: what does not depend on the layout.
struct Formats {
  DType weights = DType::fp32, grads = DType::fp32;
  std::optional<int64_t> given_chunk_rows;  ///< else what fits 64 MiB, 512 on a GPU
  DeviceKind device = DeviceKind::cpu;
  std::optional<checkpoint::AdapterConfig> adapter = std::nullopt;  ///< trained instead of the model
  bool copies_state = false;  ///< into host memory, from which checkpoints are written while training goes on

  /// Scored positions whose logits are in memory at once.
  int64_t chunk_rows(checkpoint::ModelConfig const& config, int tensor) const;
  int grad_buffers() const noexcept { return device == DeviceKind::gpu ? 2 : 1; }
};

/// What the pairs of a micro-batch ask for together, without the dummy segment that rounds it up; 0: it is idle.
PairWork work_of(PairLengths const& lengths, MicroBatch const& pairs, BatchOptions const& batches);

/// Tokens as they run: rounded up to a multiple of the tensor degree.
int64_t padded_tokens(int64_t tokens, int tensor) noexcept;

}  // namespace refrain::train
