#pragma once

#include <cstdint>
#include <vector>

/// Attention of few queries over keys and values that lie in pages, apart from everything of libtorch like
/// vector_loops.hpp.
namespace refrain::model::loops {

/// Keys or values of one block: [places, kv_heads, head_dim], in fp32 or bf16 (the upper half of a float's bits).
struct PagedValues {
  void const* data;
  bool bf16;
};

/// Where one row's tokens lie in them: token i at place pages[i / page_tokens] * page_tokens + i % page_tokens.
struct PagedRow {
  int32_t const* pages;
  int64_t page_tokens, tokens;
};

/// The `group` query heads that share KV head `kv_head` of `kv_heads`.
struct HeadGroup {
  int64_t kv_head, kv_heads, group, head_dim;
  float scale;
};

/// The last `count` tokens of a row, each [group, head_dim] and `stride` floats behind the one before it.
struct Queries {
  float const* q;
  int64_t stride;
  float* out;
  int64_t out_stride, count;
};

/// softmax(q k^T scale) v for each query over the row's tokens up to its own. `memory` grows as it needs.
void attend_pages(Queries const& queries, PagedValues const& keys, PagedValues const& values, PagedRow const& row,
                  HeadGroup const& heads, std::vector<float>& memory);

}  // namespace refrain::model::loops
