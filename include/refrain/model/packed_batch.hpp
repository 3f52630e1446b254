#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace refrain::model {

/// A stretch of a packed batch, in places and numbers of tokens. It is causal in itself and sees all of its prefix
/// (length 0: none).
struct Segment {
  int32_t begin, length, prefix_begin, prefix_length;
};

/// The one batch layout, for DPO, SFT, scoring and judging; there is no batch dimension and no padding but a last dummy
/// segment that rounds the number of tokens up to the tensor degree. T tokens, N positions that meet the output matrix.
struct PackedBatch {
  at::Tensor tokens_T, positions_T;  ///< int64
  at::Tensor head_rows_N;            ///< int64: rows of the hidden states whose next token counts
  at::Tensor targets_N;              ///< int64: those next tokens
  at::Tensor answer_N;               ///< int64: the answer (2 * pair for chosen, 2 * pair + 1 for rejected) of each row
  std::vector<Segment> segments;
  int64_t answers = 0;  ///< number of answers, for sums over answer_N
};

}  // namespace refrain::model
