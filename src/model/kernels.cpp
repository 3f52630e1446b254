#include "device_kernels.hpp"
#include "vector_loops.hpp"

#include <refrain/model/kernels.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

namespace refrain::model::kernels {
namespace {

// Rows that one task takes; fixed, so that sums over rows do not depend on the number of threads.
constexpr int64_t rows_per_task = 64;

int64_t row_blocks(int64_t rows) { return (rows + rows_per_task - 1) / rows_per_task; }

// body(begin, end) for blocks of at most rows_per_task rows.
template <class Body>
void over_row_blocks(int64_t rows, Body const& body) {
  at::parallel_for(0, row_blocks(rows), 1, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block)
      body(block * rows_per_task, std::min(rows, (block + 1) * rows_per_task));
  });
}

// The loops below are written for fp32; bf16 tensors are converted on the way in and out.
at::Tensor in_fp32(at::Tensor const& tensor) {
  TORCH_INTERNAL_ASSERT(tensor.is_cpu() && tensor.is_contiguous());
  return tensor.to(at::kFloat);
}

float* floats(at::Tensor const& tensor) { return tensor.data_ptr<float>(); }

at::Tensor scaled_rows(at::Tensor const& x_TD, at::Tensor const& weight_D, at::Tensor const& scale_T) {
  int64_t const width = x_TD.size(1);
  at::Tensor y_TD = at::empty_like(x_TD);
  over_row_blocks(x_TD.size(0), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      loops::norm_row(floats(x_TD) + t * width, floats(weight_D), floats(scale_T)[t], floats(y_TD) + t * width, width);
  });
  return y_TD;
}

}  // namespace

NormOut rms_norm(at::Tensor const& x_TD, at::Tensor const& weight_D, double eps) {
  if (x_TD.is_cuda()) return device_kernels().rms_norm(x_TD, weight_D, eps);
  at::Tensor const x = in_fp32(x_TD);
  int64_t const width = x.size(1);
  at::Tensor scale_T = at::empty({x.size(0)}, x.options());
  over_row_blocks(x.size(0), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      floats(scale_T)[t] = loops::norm_scale(floats(x) + t * width, width, static_cast<float>(eps));
  });
  return {scaled_rows(x, in_fp32(weight_D), scale_T).to(x_TD.scalar_type()), scale_T};
}

at::Tensor rms_norm_again(at::Tensor const& x_TD, at::Tensor const& weight_D, at::Tensor const& scale_T) {
  if (x_TD.is_cuda()) return device_kernels().rms_norm_again(x_TD, weight_D, scale_T);
  return scaled_rows(in_fp32(x_TD), in_fp32(weight_D), scale_T).to(x_TD.scalar_type());
}

at::Tensor rms_norm_backward(at::Tensor const& dy_TD, at::Tensor const& x_TD, at::Tensor const& weight_D,
                             at::Tensor const& scale_T, at::Tensor const& weight_grad_D) {
  if (x_TD.is_cuda()) return device_kernels().rms_norm_backward(dy_TD, x_TD, weight_D, scale_T, weight_grad_D);
  at::Tensor const dy = in_fp32(dy_TD), x = in_fp32(x_TD), weight = in_fp32(weight_D);
  int64_t const rows = x.size(0), width = x.size(1);
  at::Tensor dx = at::empty_like(x);
  // A partial sum a block of rows; then these, in the blocks' order.
  at::Tensor partial_BD = at::zeros({row_blocks(rows), width}, x.options());
  over_row_blocks(rows, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      loops::norm_backward_row(floats(dy) + t * width, floats(x) + t * width, floats(weight), floats(scale_T)[t],
                               floats(dx) + t * width, floats(partial_BD) + begin / rows_per_task * width, width);
    }
  });
  at::Tensor sum_D = at::zeros({width}, x.options());
  at::parallel_for(0, width, 4096, [&](int64_t first, int64_t last) {
    for (int64_t block = 0; block < partial_BD.size(0); ++block)
      loops::add_row(floats(partial_BD) + block * width + first, floats(sum_D) + first, last - first);
  });
  if (weight_grad_D.defined()) weight_grad_D.add_(sum_D);
  return dx.to(x_TD.scalar_type());
}

void rotate(at::Tensor const& x_TS, int64_t heads, int64_t head_dim, at::Tensor const& positions_T,
            at::Tensor const& cos_PR, at::Tensor const& sin_PR, Rotation direction) {
  if (x_TS.is_cuda()) return device_kernels().rotate(x_TS, heads, head_dim, positions_T, cos_PR, sin_PR, direction);
  at::Tensor const x = in_fp32(x_TS);
  auto const* positions = positions_T.data_ptr<int64_t>();
  int64_t const half = head_dim / 2, width = x.size(1);
  float const sign = direction == Rotation::forward ? 1.F : -1.F;
  over_row_blocks(x.size(0), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t h = 0; h < heads; ++h) {
        loops::rotate_head(floats(x) + t * width + h * head_dim, floats(cos_PR) + positions[t] * half,
                           floats(sin_PR) + positions[t] * half, sign, half);
      }
    }
  });
  if (!x.is_same(x_TS)) x_TS.copy_(x);
}

at::Tensor swiglu(at::Tensor const& gate_up_TI) {
  if (gate_up_TI.is_cuda()) return device_kernels().swiglu(gate_up_TI);
  at::Tensor const gate_up = in_fp32(gate_up_TI);
  int64_t const width = gate_up.size(1) / 2;
  at::Tensor y_TI = at::empty({gate_up.size(0), width}, gate_up.options());
  over_row_blocks(y_TI.size(0), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float const* const gate = floats(gate_up) + 2 * t * width;
      loops::swiglu_row(gate, gate + width, floats(y_TI) + t * width, width);
    }
  });
  return y_TI.to(gate_up_TI.scalar_type());
}

void swiglu_backward(at::Tensor const& dy_TI, at::Tensor const& gate_up_TI) {
  if (gate_up_TI.is_cuda()) return device_kernels().swiglu_backward(dy_TI, gate_up_TI);
  at::Tensor const dy = in_fp32(dy_TI), gate_up = in_fp32(gate_up_TI);
  int64_t const width = dy.size(1);
  over_row_blocks(dy.size(0), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* const gate = floats(gate_up) + 2 * t * width;
      loops::swiglu_backward_row(floats(dy) + t * width, gate, gate + width, width);
    }
  });
  if (!gate_up.is_same(gate_up_TI)) gate_up_TI.copy_(gate_up);
}

}  // namespace refrain::model::kernels
