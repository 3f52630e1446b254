#pragma once

#include <refrain/model/decoder.hpp>
#include <refrain/train/recompute.hpp>

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
/// prefetching, dropping and reducing a unit's buffers are lines of this loop.
class StepEngine {
public:
  StepEngine(model::ParameterStore& store, int64_t logits_chunk_rows, Recompute recompute = Recompute::none);

  /// Without gradients. A batch without answers takes part in gathering alone.
  /// @collective over the tensor ranks; over all ranks where weights are sharded
  AnswerSums forward(model::PackedBatch const& batch);

  /// Forward and backward; gradients are added to the store's and reduced over the data ranks. `gradients` maps the
  /// answers' sums to the loss's derivatives by their log-probabilities.
  /// A batch without answers takes part in gathering and reducing alone. @collective over all ranks
  AnswerSums train(model::PackedBatch const& batch,
                   std::function<std::vector<double>(AnswerSums const&)> const& gradients);

private:
  int head_unit() const { return 1 + decoder_.blocks(); }
  /// x = block(i, x) for every block, then head(x), each with its unit's weights there and the next one's on the way.
  template <class Block, class Head>
  void through_units(model::PackedBatch const& batch, Block const& block, Head const& head);

  model::ParameterStore& store_;
  model::Decoder decoder_;
  int64_t chunk_rows_;
  Recompute recompute_;
};

}  // namespace refrain::train
