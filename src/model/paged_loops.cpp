#include "exponential.hpp"
#include "paged_loops.hpp"
#include "widened.hpp"

#include <refrain/base/vector_loop.hpp>

#include <algorithm>

namespace refrain::model::loops {
namespace {

template <class Value>
[[gnu::always_inline]] inline void attend(float const* q, Value const* keys, Value const* values, PagedRow const& row,
                                          int64_t stride, int64_t group, int64_t head_dim, float scale, float* scores,
                                          float* out) {
  int64_t const tokens = row.tokens;
  auto const place = [&](int64_t t) {
    return (row.pages[t / row.page_tokens] * row.page_tokens + t % row.page_tokens) * stride;
  };
  for (int64_t t = 0; t < tokens; ++t) {
    Value const* const key = keys + place(t);
    for (int64_t g = 0; g < group; ++g) {
      float const* const query = q + g * head_dim;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < head_dim; ++j) sum += query[j] * widened(key[j]);
      scores[g * tokens + t] = sum * scale;
    }
  }
  for (int64_t g = 0; g < group; ++g) {
    float* const weights = scores + g * tokens;
    float highest = weights[0];
    for (int64_t t = 1; t < tokens; ++t) highest = std::max(highest, weights[t]);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t t = 0; t < tokens; ++t) {
      weights[t] = exponential(weights[t] - highest);
      sum += weights[t];
    }
    float const inverse = 1.F / sum;
#pragma omp simd
    for (int64_t t = 0; t < tokens; ++t) weights[t] *= inverse;
  }
  std::fill(out, out + group * head_dim, 0.F);
  for (int64_t t = 0; t < tokens; ++t) {
    Value const* const value = values + place(t);
    for (int64_t g = 0; g < group; ++g) {
      float const weight = scores[g * tokens + t];
      float* const sum = out + g * head_dim;
#pragma omp simd
      for (int64_t j = 0; j < head_dim; ++j) sum[j] += weight * widened(value[j]);
    }
  }
}

}  // namespace

REFRAIN_VECTOR_LOOP void attend_pages(Queries const& queries, PagedValues const& keys, PagedValues const& values,
                                      PagedRow const& row, HeadGroup const& heads, std::vector<float>& memory) {
  int64_t const stride = heads.kv_heads * heads.head_dim, offset = heads.kv_head * heads.head_dim;
  memory.resize(std::max(memory.size(), static_cast<std::size_t>(heads.group * row.tokens)));
  for (int64_t j = 0; j < queries.count; ++j) {
    PagedRow const seen{row.pages, row.page_tokens, row.tokens - queries.count + 1 + j};
    float const* const q = queries.q + j * queries.stride;
    float* const out = queries.out + j * queries.out_stride;
    if (keys.bf16)
      attend(q, static_cast<uint16_t const*>(keys.data) + offset, static_cast<uint16_t const*>(values.data) + offset,
             seen, stride, heads.group, heads.head_dim, heads.scale, memory.data(), out);
    else
      attend(q, static_cast<float const*>(keys.data) + offset, static_cast<float const*>(values.data) + offset, seen,
             stride, heads.group, heads.head_dim, heads.scale, memory.data(), out);
  }
}

}  // namespace refrain::model::loops
