#pragma once

#include <cstdint>

/// The GPU's loops on raw memory: what the cuda_*.cu have, without CUDA's types and without libtorch's, so that each
/// side compiles alone. `kernels.hpp` says what is computed; here rows are contiguous, sums are in fp32 (over a
/// vocabulary in fp64), and everything is queued on `stream` (a cudaStream_t).
namespace refrain::model::launch {

enum class Element { fp32, bf16 };

/// Memory of the GPU, of elements of one of two types.
struct Values {
  void* data;
  Element element;
};

/// x, weight and y of one type; scale fp32.
struct Norm {
  Values x, weight, y;
  float* scale;
  int64_t rows, width;
};
void rms_norm(void* stream, Norm const& norm, float eps);
void rms_norm_again(void* stream, Norm const& norm);

/// Blocks among which the rows of `rms_norm_backward` are divided, each with a partial sum of the weight's gradient.
int64_t norm_backward_blocks(int64_t rows);
/// `norm.y` receives the gradient of x; `partial` is fp32 [norm_backward_blocks(rows), width].
void rms_norm_backward(void* stream, Norm const& norm, Values dy, float* partial);

struct Rotary {
  Values x;
  int64_t rows, row_width, heads, head_dim;
  int64_t const* positions;
  float const *cos, *sin;
  float sign;  ///< -1 turns back
};
void rotate(void* stream, Rotary const& rotary);

/// [rows, 2 width] -> [rows, width]
void swiglu(void* stream, Values gate_up, Values y, int64_t rows, int64_t width);
void swiglu_backward(void* stream, Values dy, Values gate_up, int64_t rows, int64_t width);

/// One value a row of logits each, at the row's place.
struct RowOutputs {
  float *max, *sum_exp, *sum_dot, *sum, *target, *argmax;
};
void row_stats(void* stream, float const* logits, int64_t rows, int64_t vocabulary, int64_t const* targets,
               RowOutputs const& out);
void logits_to_gradient(void* stream, float* logits, int64_t rows, int64_t vocabulary, int64_t const* targets,
                        float const* log_sum_exp, float const* dlogp);

/// AdamW's coefficients; `weights.data` may be null.
struct Adam {
  float *p, *m, *v;
  Values grad, weights;
  int64_t count;
  float grad_scale, decay, beta1_rest, beta2, beta2_rest, step_size, correction2, eps;
};
void adamw(void* stream, Adam const& adam);

/// How many partial sums `sum_of_squares` writes.
int64_t square_blocks(int64_t count);
void sum_of_squares(void* stream, Values values, int64_t count, double* partial);

}  // namespace refrain::model::launch
