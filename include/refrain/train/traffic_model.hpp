#pragma once

#include <refrain/checkpoint/model_config.hpp>
#include <refrain/train/run_layout.hpp>

#include <cstdint>
#include <vector>

namespace refrain::train {

/// Bytes that one rank sends, by what they are. The sums of metrics over ranks, a few hundred bytes a step, are not
/// among them.
struct SentBytes {
  int64_t parameters = 0;   ///< weights, gathered
  int64_t gradients = 0;    ///< reduced over the data ranks
  int64_t activations = 0;  ///< between the tensor ranks; the gradient norm, and gradients of shared rows' norms too

  int64_t total() const noexcept { return parameters + gradients + activations; }
  SentBytes operator-(SentBytes const& earlier) const noexcept;
  SentBytes& operator+=(SentBytes const& other) noexcept;
};

/// What a rank has sent so far, by its collectives' counters.
SentBytes sent_so_far(model::Backend& backend);

/// Bytes that a rank sends in training steps, from sizes alone: equal to what its collectives count.
class TrafficModel {
public:
  /// @throws Error if the tensor degree does not divide the model
  TrafficModel(checkpoint::ModelConfig const& config, RunLayout const& layout, Formats const& formats,
               int tensor_rank = 0, int data_rank = 0);

  /// Forward and backward of one micro-batch.
  SentBytes micro_batch(PairWork const& batch) const;
  /// What a step adds to its micro-batches: gradients of norms, the gradient's norm, the new weights.
  SentBytes step_end() const;
  SentBytes step(std::vector<PairWork> const& micro_batches) const;

private:
  int64_t activations(PairWork const& batch) const;
  int64_t gathered_again() const;  ///< times that backward gathers a block's rows for gradients of weights

  checkpoint::ModelConfig config_;
  RunLayout layout_;
  Formats formats_;
  model::ParameterLayout parameters_;
};

}  // namespace refrain::train
