#include "prefill_loops.hpp"

#include "exponential.hpp"
#include "widened.hpp"

#include <refrain/base/vector_loop.hpp>

#include <algorithm>
#include <cstring>

namespace refrain::model::loops {
namespace {

// A tile of a product, tile_rows x panel, stays in registers: of AVX-512's 32 it takes 8 for sums.
constexpr int64_t tile_rows = 4, panel = 32, lanes = 16;
// Rows, a query of one head each, whose scores are in memory at once: a panel of keys stays in the nearest cache for
// all of them.
constexpr int64_t block_rows = 16;
// Keys whose values stay there.
constexpr int64_t chunk_keys = 64;

using Vector = float __attribute__((vector_size(lanes * sizeof(float))));

[[gnu::always_inline]] inline void load(float const* from, Vector& x) { std::memcpy(&x, from, sizeof x); }

constexpr int64_t padded(int64_t n) { return (n + panel - 1) / panel * panel; }

// c += a b for a tile: a [tile_rows, depth], b [depth, panel], c [tile_rows, panel].
[[gnu::always_inline]] inline void add_tile(float const* a, int64_t a_stride, float const* b, int64_t depth, float* c,
                                            int64_t c_stride) {
  Vector sum[tile_rows][panel / lanes];
#pragma GCC unroll 4
  for (int64_t r = 0; r < tile_rows; ++r)
#pragma GCC unroll 2
    for (int64_t v = 0; v < panel / lanes; ++v) load(c + r * c_stride + v * lanes, sum[r][v]);
  for (int64_t d = 0; d < depth; ++d) {
    Vector left, right;
    load(b + d * panel, left);
    load(b + d * panel + lanes, right);
#pragma GCC unroll 4
    for (int64_t r = 0; r < tile_rows; ++r) {
      float const factor = a[r * a_stride + d];
      sum[r][0] += factor * left;
      sum[r][1] += factor * right;
    }
  }
#pragma GCC unroll 4
  for (int64_t r = 0; r < tile_rows; ++r)
#pragma GCC unroll 2
    for (int64_t v = 0; v < panel / lanes; ++v) std::memcpy(c + r * c_stride + v * lanes, &sum[r][v], sizeof sum[r][v]);
}

// Where a task's memory lies: all of it in panels, padded by zeros.
struct Layout {
  float* keys;                      // [tokens / panel, head_dim, panel]
  float* values;                    // [head_dim / panel, tokens, panel]
  float* q;                         // [block_rows, head_dim], scaled
  float* scores;                    // [block_rows, tokens]
  float* out;                       // [block_rows, head_dim padded]
  int64_t tokens, head_dim, width;  // tokens padded, head_dim, head_dim padded
};

Layout lay_out(std::vector<float>& memory, int64_t tokens, int64_t head_dim) {
  int64_t const t = padded(tokens), width = padded(head_dim);
  auto const floats = static_cast<std::size_t>(t * (head_dim + width + block_rows) + block_rows * (head_dim + width));
  if (memory.size() < floats) memory.resize(floats);
  float* const keys = memory.data();
  float* const values = keys + t * head_dim;
  float* const q = values + t * width;
  float* const scores = q + block_rows * head_dim;
  return {keys, values, q, scores, scores + block_rows * t, t, head_dim, width};
}

template <class Value>
[[gnu::always_inline]] inline void pack(Value const* keys, Value const* values, PagedRow const& row, int64_t stride,
                                        Layout const& to) {
  for (int64_t t = 0; t < to.tokens; ++t) {
    float* const key = to.keys + t / panel * panel * to.head_dim + t % panel;
    if (t >= row.tokens) {
      for (int64_t j = 0; j < to.head_dim; ++j) key[j * panel] = 0;
      for (int64_t j = 0; j < to.width; j += panel) std::fill_n(to.values + j * to.tokens + t * panel, panel, 0.F);
      continue;
    }
    int64_t const place = (row.pages[t / row.page_tokens] * row.page_tokens + t % row.page_tokens) * stride;
    for (int64_t j = 0; j < to.head_dim; ++j) key[j * panel] = widened(keys[place + j]);
    for (int64_t j = 0; j < to.width; j += panel) {
      float* const value = to.values + j * to.tokens + t * panel;
      int64_t const here = std::min(panel, to.head_dim - j);
      for (int64_t i = 0; i < here; ++i) value[i] = widened(values[place + j + i]);
      std::fill(value + here, value + panel, 0.F);
    }
  }
}

// Scores to exp(score - highest) over the tokens seen, and 0 behind them. Returns the sum.
[[gnu::always_inline]] inline float to_weights(float* scores, int64_t seen, int64_t width) {
  float highest = scores[0];
#pragma omp simd reduction(max : highest)
  for (int64_t t = 0; t < seen; ++t) highest = scores[t] > highest ? scores[t] : highest;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t t = 0; t < seen; ++t) {
    scores[t] = exponential(scores[t] - highest);
    sum += scores[t];
  }
  std::fill(scores + seen, scores + width, 0.F);
  return sum;
}

// Rows [first, first + count) of the queries' count * group.
[[gnu::always_inline]] inline void attend_block(Queries const& queries, int64_t first, int64_t count, int64_t tokens,
                                                HeadGroup const& heads, Layout const& memory) {
  int64_t const head_dim = heads.head_dim, group = heads.group, before = tokens - queries.count + 1;
  // Tokens that the last of these rows sees; its rows are filled up to whole tiles by copies of it.
  int64_t const width = padded(before + (first + count - 1) / group);
  int64_t const rows = (count + tile_rows - 1) / tile_rows * tile_rows;
  auto const place = [&](int64_t r, int64_t stride) { return r / group * stride + r % group * head_dim; };
  for (int64_t r = 0; r < rows; ++r) {
    float const* const q = queries.q + place(first + std::min(r, count - 1), queries.stride);
    for (int64_t j = 0; j < head_dim; ++j) memory.q[r * head_dim + j] = q[j] * heads.scale;
    std::fill_n(memory.scores + r * memory.tokens, width, 0.F);
    std::fill_n(memory.out + r * memory.width, memory.width, 0.F);
  }
  for (int64_t t = 0; t < width; t += panel)
    for (int64_t r = 0; r < rows; r += tile_rows)
      add_tile(memory.q + r * head_dim, head_dim, memory.keys + t * head_dim, head_dim,
               memory.scores + r * memory.tokens + t, memory.tokens);
  float sums[block_rows];
  for (int64_t r = 0; r < rows; ++r)
    sums[r] = to_weights(memory.scores + r * memory.tokens, before + (first + std::min(r, count - 1)) / group, width);
  for (int64_t j = 0; j < memory.width; j += panel)
    for (int64_t t = 0; t < width; t += chunk_keys)
      for (int64_t r = 0; r < rows; r += tile_rows)
        add_tile(memory.scores + r * memory.tokens + t, memory.tokens, memory.values + j * memory.tokens + t * panel,
                 std::min(chunk_keys, width - t), memory.out + r * memory.width + j, memory.width);
  for (int64_t r = 0; r < count; ++r) {
    float* const out = queries.out + place(first + r, queries.out_stride);
    float const inverse = 1.F / sums[r];
    for (int64_t j = 0; j < head_dim; ++j) out[j] = memory.out[r * memory.width + j] * inverse;
  }
}

}  // namespace

REFRAIN_VECTOR_LOOP void attend_prefill(Queries const& queries, PagedValues const& keys, PagedValues const& values,
                                        PagedRow const& row, HeadGroup const& heads, std::vector<float>& memory) {
  Layout const layout = lay_out(memory, row.tokens, heads.head_dim);
  int64_t const stride = heads.kv_heads * heads.head_dim, offset = heads.kv_head * heads.head_dim;
  if (keys.bf16)
    pack(static_cast<uint16_t const*>(keys.data) + offset, static_cast<uint16_t const*>(values.data) + offset, row,
         stride, layout);
  else
    pack(static_cast<float const*>(keys.data) + offset, static_cast<float const*>(values.data) + offset, row, stride,
         layout);
  int64_t const rows = queries.count * heads.group;
  for (int64_t first = 0; first < rows; first += block_rows)
    attend_block(queries, first, std::min(block_rows, rows - first), row.tokens, heads, layout);
}

}  // namespace refrain::model::loops
