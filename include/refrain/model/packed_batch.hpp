#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace refrain::model {

struct PackedRows;

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
  int64_t answers = 0;    ///< number of answers, for sums over answer_N
  int64_t positions = 0;  ///< one more than the highest of positions_T; 0 where nobody counted
  /// What attention on a GPU makes of the segments, once for all blocks.
  mutable std::shared_ptr<PackedRows const> packed_rows = nullptr;

  /// With all that the model reads in the memory of `device`; answer_N stays where it is, for sums on the host.
  PackedBatch on(at::Device device) const;
};

}  // namespace refrain::model
