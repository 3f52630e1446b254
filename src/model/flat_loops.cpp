#include "flat_loops.hpp"

#include <refrain/base/vector_loop.hpp>

#include <bit>
#include <cmath>

namespace refrain::model::loops {
namespace {

inline float value_of(float const* values, int64_t i) { return values[i]; }
inline float value_of(uint16_t const* values, int64_t i) {
  return std::bit_cast<float>(static_cast<uint32_t>(values[i]) << 16);
}

// To the nearest bf16, ties to even; finite values only.
inline uint16_t rounded(float value) {
  auto const bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

template <class Grad, bool writes_bf16>
[[gnu::always_inline]] inline void pass(AdamVectors const& vectors, int64_t begin, int64_t end, kernels::AdamSettings const& settings) {
  kernels::AdamSettings const k = settings;  // a copy, which what is written cannot change
  float* __restrict const p = vectors.p, * __restrict const m = vectors.m, * __restrict const v = vectors.v;
  Grad const* __restrict const g = static_cast<Grad const*>(vectors.g);
  uint16_t* __restrict const w = vectors.w;
  for (int64_t i = begin; i < end; ++i) {
    // All reads before the first write: the vectors often lie at the same offset in a page, and a read waits for a
    // write just before it that has the same lowest address bits.
    float const grad = value_of(g, i) * k.grad_scale, old_mean = m[i], old_square = v[i], old_weight = p[i];
    float const mean = old_mean + k.beta1_rest * (grad - old_mean);
    float const square = k.beta2 * old_square + k.beta2_rest * grad * grad;
    float const weight = old_weight * k.decay - k.step_size * mean / (std::sqrt(square) / k.correction2 + k.eps);
    m[i] = mean;
    v[i] = square;
    p[i] = weight;
    if constexpr (writes_bf16) w[i] = rounded(weight);
  }
}

template <class Value>
[[gnu::always_inline]] inline double squares(Value const* values, int64_t begin, int64_t end) {
  // Several sums, so that additions need not wait for each other.
  constexpr int64_t lanes = 8;
  double sums[lanes] = {};
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) {
      double const value = value_of(values, i + lane);
      sums[lane] += value * value;
    }
  for (; i < end; ++i) sums[0] += static_cast<double>(value_of(values, i)) * value_of(values, i);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace

REFRAIN_VECTOR_LOOP void adamw(AdamVectors const& vectors, int64_t begin, int64_t end, kernels::AdamSettings const& settings) {
  bool const writes_bf16 = vectors.w != nullptr;
  if (vectors.bf16_grads && writes_bf16) pass<uint16_t, true>(vectors, begin, end, settings);
  if (vectors.bf16_grads && !writes_bf16) pass<uint16_t, false>(vectors, begin, end, settings);
  if (!vectors.bf16_grads && writes_bf16) pass<float, true>(vectors, begin, end, settings);
  if (!vectors.bf16_grads && !writes_bf16) pass<float, false>(vectors, begin, end, settings);
}

REFRAIN_VECTOR_LOOP double sum_of_squares(void const* values, bool bf16, int64_t begin, int64_t end) {
  return bf16 ? squares(static_cast<uint16_t const*>(values), begin, end)
              : squares(static_cast<float const*>(values), begin, end);
}

}  // namespace refrain::model::loops
