#include "exponential.hpp"
#include "vector_loops.hpp"

#include <refrain/base/vector_loop.hpp>

#include <algorithm>
#include <cmath>

namespace refrain::model::loops {
namespace {

// Sums over a vocabulary run in fp32 over this many columns, then in fp64: over 128k they would lose three digits.
constexpr int64_t columns_per_sum = 1024;

}  // namespace

REFRAIN_VECTOR_LOOP float norm_scale(float const* x, int64_t width, float eps) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < width; ++j) sum += x[j] * x[j];
  return 1.F / std::sqrt(sum / static_cast<float>(width) + eps);
}

REFRAIN_VECTOR_LOOP void norm_row(float const* x, float const* weight, float scale, float* y, int64_t width) {
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) y[j] = x[j] * scale * weight[j];
}

REFRAIN_VECTOR_LOOP void norm_backward_row(float const* dy, float const* x, float const* weight, float scale, float* dx,
                                           float* weight_grad, int64_t width) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t j = 0; j < width; ++j) dot += dy[j] * weight[j] * x[j];
  float const mean = dot * scale / static_cast<float>(width);
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) {
    float const normed = x[j] * scale;
    weight_grad[j] += dy[j] * normed;
    dx[j] = scale * (dy[j] * weight[j] - normed * mean);
  }
}

REFRAIN_VECTOR_LOOP void add_row(float const* x, float* sum, int64_t width) {
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) sum[j] += x[j];
}

REFRAIN_VECTOR_LOOP void rotate_head(float* x, float const* cos, float const* sin, float direction, int64_t half) {
#pragma omp simd
  for (int64_t j = 0; j < half; ++j) {
    float const first = x[j], second = x[j + half], sine = sin[j] * direction;
    x[j] = first * cos[j] - second * sine;
    x[j + half] = second * cos[j] + first * sine;
  }
}

REFRAIN_VECTOR_LOOP void swiglu_row(float const* gate, float const* up, float* y, int64_t width) {
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) y[j] = gate[j] / (1.F + exponential(-gate[j])) * up[j];
}

REFRAIN_VECTOR_LOOP void swiglu_backward_row(float const* dy, float* gate, float* up, int64_t width) {
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) {
    float const g = gate[j], sigmoid = 1.F / (1.F + exponential(-g));
    gate[j] = dy[j] * up[j] * sigmoid * (1.F + g * (1.F - sigmoid));
    up[j] = dy[j] * g * sigmoid;
  }
}

REFRAIN_VECTOR_LOOP bool finite_range(float const* x, int64_t count) {
  // 0 times anything finite is 0; times NaN or infinity it is NaN, which no sum loses.
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += x[i] * 0.F;
  return sum == 0.F;
}

REFRAIN_VECTOR_LOOP float row_max(float const* logits, int64_t count) {
  float highest = lowest_logit;
#pragma omp simd reduction(max : highest)
  for (int64_t v = 0; v < count; ++v) highest = logits[v] > highest ? logits[v] : highest;
  return highest;
}

REFRAIN_VECTOR_LOOP RowSums row_sums(float const* logits, int64_t count, float highest) {
  RowSums sums;
  for (int64_t begin = 0; begin < count; begin += columns_per_sum) {
    int64_t const end = std::min(count, begin + columns_per_sum);
    float exp_sum = 0, dot = 0, plain = 0;
#pragma omp simd reduction(+ : exp_sum, dot, plain)
    for (int64_t v = begin; v < end; ++v) {
      float const below = logits[v] - highest;
      float const power = exponential(below);
      exp_sum += power;
      dot += power * below;
      plain += logits[v];
    }
    sums.exp += exp_sum;
    sums.dot += dot;
    sums.plain += plain;
  }
  return sums;
}

REFRAIN_VECTOR_LOOP void row_gradient(float* logits, int64_t count, float log_sum_exp, float slope) {
#pragma omp simd
  for (int64_t v = 0; v < count; ++v) logits[v] = -slope * exponential(logits[v] - log_sum_exp);
}

}  // namespace refrain::model::loops
