#pragma once

#include <refrain/model/decoder.hpp>

#include <cstdint>
#include <functional>
#include <vector>

namespace refrain::train {

/// What the head says about each answer of a packed batch: sums over its scored tokens, in fp64.
struct AnswerSums {
  std::vector<double> logp, logit, entropy;
  std::vector<int64_t> tokens, likeliest;  ///< scored tokens, and those of them that the model finds likeliest
};

/// Runs packed batches through the model. It owns the loop over units: autograd lives inside one block, and acquiring,
/// dropping and reducing a unit's buffers are lines of this loop.
class StepEngine {
public:
  StepEngine(model::ParameterStore& store, int64_t logits_chunk_rows);

  /// Without gradients. @collective over the tensor ranks
  AnswerSums forward(model::PackedBatch const& batch);

  /// Forward and backward; gradients are added to the store's and reduced over the data ranks. `gradients` maps the
  /// answers' sums to the loss's derivatives by their log-probabilities.
  /// A batch without tokens takes part in the reductions alone. @collective over all ranks
  AnswerSums train(model::PackedBatch const& batch,
                   std::function<std::vector<double>(AnswerSums const&)> const& gradients);

private:
  model::ParameterStore& store_;
  model::Decoder decoder_;
  int64_t chunk_rows_;
};

}  // namespace refrain::train
