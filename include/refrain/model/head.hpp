#pragma once

#include <refrain/model/packed_batch.hpp>
#include <refrain/model/parameter_store.hpp>

#include <ATen/core/Tensor.h>

namespace refrain::model {

/// Per completion position, on every tensor rank alike; all fp32 [N].
struct HeadOut {
  at::Tensor logp_N;        ///< log-softmax at the target; differentiable
  at::Tensor mean_logit_N;  ///< mean of the logits over the vocabulary, padding left out; no gradient
  at::Tensor entropy_N;     ///< of the softmax, in nats; no gradient
  at::Tensor top1_N;        ///< int64: the likeliest token, the lowest of equals
};

/// Rows of logits that a chunk may hold for about 64 MiB of them on a rank, 512 MiB on a GPU: larger chunks gain
/// nothing, smaller ones read the output matrix more often.
int64_t default_chunk_rows(checkpoint::ModelConfig const& config, int tensor_degree, bool on_gpu);

/// The last norm, and the matrix that makes logits (the embedding's where they are tied).
struct HeadIds {
  ParamId norm, output;
};

/// Log-probabilities of the batch's targets_N under softmax(norm(x[head_rows_N]) W^T), W being the rows of the
/// vocabulary that this rank holds. Rows are selected, normed and multiplied a chunk of `chunk_rows` at a time, and
/// again in backward, so that nothing of more than one chunk exists but vectors of length N and the gradient of x.
/// Differentiable in x: [T, D], or this rank's share of its rows.
/// @collective over tensor, in backward too
HeadOut token_logps(at::Tensor const& x_TD, ParameterStore& store, HeadIds const& ids, PackedBatch const& batch,
                    int64_t chunk_rows);

}  // namespace refrain::model
