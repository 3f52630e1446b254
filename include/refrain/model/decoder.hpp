#pragma once

#include <refrain/model/packed_batch.hpp>
#include <refrain/model/parameter_store.hpp>

namespace refrain::model {

/// Per completion position, on every tensor rank alike; all fp32 [N].
struct HeadOut {
  at::Tensor logp_N;         ///< log-softmax at the target; differentiable
  at::Tensor mean_logit_N;   ///< mean of the logits over the vocabulary, padding left out; no gradient
  at::Tensor entropy_N;      ///< of the softmax, in nats; no gradient
  at::Tensor top1_N;         ///< int64: the likeliest token
};

/// The Llama decoder, a unit at a time: its caller owns the loop over units (gather, run, drop, recompute, reduce are lines
/// of that loop), and autograd lives within one call. Weights are never seen by autograd: backward adds to main_grad.
class Decoder {
public:
  explicit Decoder(ParameterStore& store);

  int blocks() const noexcept;
  /// Embedding rows, [T, D]. Not differentiable by autograd: pass the gradient to embed_backward. @collective over tensor
  at::Tensor embed(PackedBatch const& batch) const;
  void embed_backward(PackedBatch const& batch, at::Tensor const& grad_TD) const;
  /// Block `i`, [T, D] -> [T, D]; differentiable in x. @collective over tensor, in backward too
  at::Tensor block(int i, at::Tensor const& x_TD, PackedBatch const& batch) const;
  /// Last norm, then only the rows head_rows_N through the output matrix, in chunks of `chunk_rows` rows, vocabulary-parallel,
  /// recomputed in backward: no logits of more than one chunk exist. Differentiable in x. @collective over tensor
  HeadOut head(at::Tensor const& x_TD, PackedBatch const& batch, int64_t chunk_rows) const;
  /// All logits [N, V] of head_rows_N on every rank, for tests and for generation. @collective over tensor
  at::Tensor logits(at::Tensor const& x_TD, PackedBatch const& batch) const;

private:
  ParameterStore& store_;
};

}  // namespace refrain::model
