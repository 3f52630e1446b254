#include "packed_rows.hpp"

#include <ATen/ATen.h>

#include <algorithm>

namespace refrain::model {

PackedRows PackedRows::of(PackedBatch const& batch, at::Device device) {
  PackedRows rows;
  std::vector<int32_t> queries{0}, keys{0};
  std::vector<int64_t> tokens, own, prefix_keys, prefix_tokens;
  for (Segment const& segment : batch.segments) {
    TORCH_INTERNAL_ASSERT(segment.begin == queries.back(), "the segments do not follow one another");
    for (int32_t i = 0; i < segment.prefix_length; ++i) {
      prefix_keys.push_back(static_cast<int64_t>(tokens.size()));
      prefix_tokens.push_back(segment.prefix_begin + i);
      tokens.push_back(segment.prefix_begin + i);
    }
    for (int32_t i = 0; i < segment.length; ++i) {
      own.push_back(static_cast<int64_t>(tokens.size()));
      tokens.push_back(segment.begin + i);
    }
    queries.push_back(segment.begin + segment.length);
    keys.push_back(static_cast<int32_t>(tokens.size()));
    rows.longest_queries = std::max<int64_t>(rows.longest_queries, segment.length);
    rows.longest_keys = std::max<int64_t>(rows.longest_keys, segment.prefix_length + segment.length);
  }
  TORCH_INTERNAL_ASSERT(queries.back() == batch.tokens_T.size(0), "a token is in no segment");
  rows.cu_queries = at::tensor(queries, at::kInt).to(device);
  rows.cu_keys = at::tensor(keys, at::kInt).to(device);
  if (!prefix_keys.empty()) {
    rows.tokens_K = at::tensor(tokens, at::kLong).to(device);
    rows.own_T = at::tensor(own, at::kLong).to(device);
    rows.prefix_keys_P = at::tensor(prefix_keys, at::kLong).to(device);
    rows.prefix_tokens_P = at::tensor(prefix_tokens, at::kLong).to(device);
  }
  return rows;
}

}  // namespace refrain::model
