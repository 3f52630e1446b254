#pragma once

#include <refrain/model/packed_batch.hpp>

#include <ATen/core/Tensor.h>

namespace refrain::model {

/// A batch's segments as one call of a variable-length attention kernel sees them: sequence s is segment s, its queries
/// the segment's tokens in the batch's order, its keys the tokens of its prefix and then its own. "Up to itself and all
/// of the prefix" is then causal from the bottom right: query i of Q sees the keys up to i + K - Q.
struct PackedRows {
  at::Tensor cu_queries, cu_keys;  ///< int32 [segments + 1]: where each sequence begins, and the end
  int64_t longest_queries = 0, longest_keys = 0;
  /// int64: the token of each key, one sequence behind the other. Undefined, as are the next three, where no segment
  /// has a prefix: keys then are the tokens themselves.
  at::Tensor tokens_K;
  at::Tensor own_T;                           ///< int64: the key that a token is of its own segment
  at::Tensor prefix_keys_P, prefix_tokens_P;  ///< int64: the other keys, and the tokens that they repeat

  bool repeats() const { return tokens_K.defined(); }

  /// @pre the segments follow one another and are all of the batch's tokens
  static PackedRows of(PackedBatch const& batch, at::Device device);
};

}  // namespace refrain::model
