#pragma once

#include <refrain/model/head.hpp>
#include <refrain/model/ops.hpp>
#include <refrain/model/packed_batch.hpp>
#include <refrain/model/parameter_store.hpp>
#include <refrain/model/rotary.hpp>

#include <vector>

namespace refrain::model {

/// Which tokens' results are wanted: of the last block only those whose logits are read.
enum class Wanted { all, last_of_each_row };

/// In place of a batch's own attention: keys and values of a row's earlier tokens come from a cache.
class CachedAttention {
public:
  virtual ~CachedAttention() = default;
  /// Takes the keys and values of block `block` from qkv_TS (rotated q|k|v of new tokens) into the cache, and gives
  /// softmax(q k^T / sqrt(head_dim)) v over what each token sees: [T, heads head_dim], or [rows, heads head_dim].
  virtual at::Tensor attend(int block, at::Tensor const& qkv_TS, HeadShape const& shape, Wanted wanted) = 0;
};

/// The Llama decoder, a unit at a time: its caller owns the loop over units (gather, run, drop, recompute, reduce are
/// lines of that loop), and autograd lives within one call. Weights are never seen by autograd: backward adds to
/// main_grad. Hidden states have the weights' type; norms, rotary angles, softmax and log-probabilities are computed in
/// fp32. Without gradients (at::NoGradGuard) nothing is kept.
///
/// Token ids must lie in [0, vocab_size), positions be >= 0; segments must not overlap.
class Decoder {
public:
  /// `store` must outlive it.
  explicit Decoder(ParameterStore& store);

  int blocks() const noexcept { return static_cast<int>(blocks_.size()); }
  /// Embedding rows, [T, D], or this rank's share of them with sequence parallelism, as of all hidden states between
  /// blocks: there and below, [T, D] stands for both. Not differentiable by autograd: pass the gradient to
  /// embed_backward.
  /// @collective over tensor
  at::Tensor embed(PackedBatch const& batch) const;
  /// Adds to the embedding's gradient, given that of its rows, [T, D], unless it is frozen. @collective over tensor
  void embed_backward(PackedBatch const& batch, at::Tensor const& grad_TD) const;
  /// Block `i`, [T, D] -> [T, D]; differentiable in x. Its backward may run once: it overwrites what it kept.
  /// @collective over tensor, in backward too
  /// @param mlp whether the MLP's first product, the widest value of a block, is kept for backward
  at::Tensor block(int i, at::Tensor const& x_TD, PackedBatch const& batch, Remember mlp = Remember::keep) const;
  /// The same without gradients, over a cache; the batch's segments are not looked at. @collective over tensor
  /// @param last_N the last token of each row, if the results of these alone are wanted; undefined: all. @returns [N,
  /// D]
  at::Tensor block(int i, at::Tensor const& x_TD, PackedBatch const& batch, CachedAttention& cache,
                   at::Tensor const& last_N = {}) const;
  /// Only the rows head_rows_N, through the last norm and the output matrix. Differentiable in x (token_logps).
  /// @collective over tensor, in backward too
  HeadOut head(at::Tensor const& x_TD, PackedBatch const& batch, int64_t chunk_rows) const;
  /// All logits [N, V] of head_rows_N in fp32 on every rank, for tests and for generation. @collective over tensor
  at::Tensor logits(at::Tensor const& x_TD, PackedBatch const& batch) const;

private:
  struct BlockIds {
    ParamId norm1;
    Projection qkv, o;
    ParamId norm2;
    Projection gate_up, down;
  };

  template <class Attend>
  at::Tensor run_block(int i, at::Tensor const& x_TD, Remember mlp, Attend const& attend,
                       at::Tensor const& last_N = {}) const;
  RotaryTable const& rotary_for(PackedBatch const& batch) const;

  ParameterStore& store_;
  HeadShape heads_;  // on this rank
  std::vector<BlockIds> blocks_;
  ParamId embedding_;
  HeadIds head_;
  at::Tensor frequencies_R_;
  mutable RotaryTable rotary_;  // grows with the positions that come
};

}  // namespace refrain::model
