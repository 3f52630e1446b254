#pragma once

#include <cstdint>

/// The loops over one row, apart from everything of libtorch: this file's source alone is compiled with the options
/// that let the compiler turn them into vector instructions. All fp32; `kernels.hpp` says what is computed.
namespace refrain::model::loops {

/// The maximum over no logits at all: its share of a softmax is exactly 0, and differences stay finite.
inline constexpr float lowest_logit = -1e30F;

float norm_scale(float const* x, int64_t width, float eps);
void norm_row(float const* x, float const* weight, float scale, float* y, int64_t width);
/// dx = scale (g - n mean(g n)) with n = x scale and g = dy weight; adds dy n to the weight's gradient.
void norm_backward_row(float const* dy, float const* x, float const* weight, float scale, float* dx, float* weight_grad,
                       int64_t width);
void add_row(float const* x, float* sum, int64_t width);
/// One head of 2 half elements; `direction` -1 turns back.
void rotate_head(float* x, float const* cos, float const* sin, float direction, int64_t half);
void swiglu_row(float const* gate, float const* up, float* y, int64_t width);
/// Overwrites gate and up by their gradients.
void swiglu_backward_row(float const* dy, float* gate, float* up, int64_t width);
/// Whether none of `count` values is NaN or infinite.
bool finite_range(float const* x, int64_t count);

float row_max(float const* logits, int64_t count);
struct RowSums {
  double exp = 0;    ///< of exp(l - highest)
  double dot = 0;    ///< of exp(l - highest) (l - highest)
  double plain = 0;  ///< of l
};
RowSums row_sums(float const* logits, int64_t count, float highest);
/// Overwrites logits by -slope * softmax.
void row_gradient(float* logits, int64_t count, float log_sum_exp, float slope);

}  // namespace refrain::model::loops
