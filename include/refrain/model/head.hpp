#pragma once

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

/// Rows of logits that a chunk may hold for about 64 MiB of them on a rank: larger chunks gain nothing, smaller ones
/// read the output matrix more often.
int64_t default_chunk_rows(ParameterStore const& store);

/// Log-probabilities of targets_N under softmax(hidden_ND W^T), W being the rows of the vocabulary that this rank
/// holds. In chunks of `chunk_rows` rows; backward makes each chunk's logits again, so that two chunks never exist at
/// once.
/// @pre the caller enters the tensor region: the gradient of hidden_ND is this rank's part of the sum
/// @collective over tensor, in forward only
HeadOut token_logps(at::Tensor const& hidden_ND, ParameterStore& store, ParamId weight, at::Tensor const& targets_N,
                    int64_t chunk_rows);

}  // namespace refrain::model
