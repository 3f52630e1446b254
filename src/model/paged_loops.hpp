#pragma once

#include <cstdint>

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

/// softmax(q k^T scale) v of the `group` query heads that share one KV head, over all tokens of the row.
/// q, out: [group, head_dim]; scores: memory for [group, tokens].
void attend_pages(float const* q, PagedValues const& keys, PagedValues const& values, PagedRow const& row, int64_t kv_head,
                  int64_t kv_heads, int64_t group, int64_t head_dim, float scale, float* scores, float* out);

}  // namespace refrain::model::loops
