// From tensors to raw memory: what is allocated, and which types and shapes the launched loops get. The unit tests run
// it over tensors of the CPU.
#include "kernel_launch.hpp"
#include "device_kernels.hpp"

#include <ATen/ATen.h>

namespace refrain::model::kernels {
namespace {

launch::Values values(at::Tensor const& tensor) {
  TORCH_INTERNAL_ASSERT(tensor.is_contiguous());
  TORCH_INTERNAL_ASSERT(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
  return {tensor.data_ptr(), tensor.scalar_type() == at::kBFloat16 ? launch::Element::bf16 : launch::Element::fp32};
}

float* floats(at::Tensor const& tensor) {
  TORCH_INTERNAL_ASSERT(tensor.is_contiguous());
  return tensor.data_ptr<float>();
}

int64_t const* integers(at::Tensor const& tensor) {
  TORCH_INTERNAL_ASSERT(tensor.is_contiguous());
  return tensor.const_data_ptr<int64_t>();
}

class LaunchedKernels final : public DeviceKernels {
public:
  explicit LaunchedKernels(std::function<void*()> stream) : stream_(std::move(stream)) {}

  NormOut rms_norm(at::Tensor const& x_TD, at::Tensor const& weight_D, double eps) const override {
    NormOut out{at::empty_like(x_TD), at::empty({x_TD.size(0)}, x_TD.options().dtype(at::kFloat))};
    launch::rms_norm(stream_(), norm(x_TD, weight_D.to(x_TD.scalar_type()), out.y_TD, out.scale_T),
                     static_cast<float>(eps));
    return out;
  }

  at::Tensor rms_norm_again(at::Tensor const& x_TD, at::Tensor const& weight_D,
                            at::Tensor const& scale_T) const override {
    at::Tensor y_TD = at::empty_like(x_TD);
    launch::rms_norm_again(stream_(), norm(x_TD, weight_D.to(x_TD.scalar_type()), y_TD, scale_T));
    return y_TD;
  }

  at::Tensor rms_norm_backward(at::Tensor const& dy_TD, at::Tensor const& x_TD, at::Tensor const& weight_D,
                               at::Tensor const& scale_T, at::Tensor const& weight_grad_D) const override {
    at::Tensor dx_TD = at::empty_like(x_TD);
    at::Tensor const partial_BD =
        at::empty({launch::norm_backward_blocks(x_TD.size(0)), x_TD.size(1)}, x_TD.options().dtype(at::kFloat));
    launch::rms_norm_backward(stream_(), norm(x_TD, weight_D.to(x_TD.scalar_type()), dx_TD, scale_T),
                              values(dy_TD.to(x_TD.scalar_type())), floats(partial_BD));
    if (weight_grad_D.defined()) weight_grad_D.add_(partial_BD.sum(0));
    return dx_TD;
  }

  void rotate(at::Tensor const& x_TS, int64_t heads, int64_t head_dim, at::Tensor const& positions_T,
              at::Tensor const& cos_PR, at::Tensor const& sin_PR, Rotation direction) const override {
    launch::rotate(stream_(), {.x = values(x_TS),
                               .rows = x_TS.size(0),
                               .row_width = x_TS.size(1),
                               .heads = heads,
                               .head_dim = head_dim,
                               .positions = integers(positions_T),
                               .cos = floats(cos_PR),
                               .sin = floats(sin_PR),
                               .sign = direction == Rotation::forward ? 1.F : -1.F});
  }

  at::Tensor swiglu(at::Tensor const& gate_up_TI) const override {
    int64_t const rows = gate_up_TI.size(0), width = gate_up_TI.size(1) / 2;
    at::Tensor y_TI = at::empty({rows, width}, gate_up_TI.options());
    launch::swiglu(stream_(), values(gate_up_TI), values(y_TI), rows, width);
    return y_TI;
  }

  void swiglu_backward(at::Tensor const& dy_TI, at::Tensor const& gate_up_TI) const override {
    launch::swiglu_backward(stream_(), values(dy_TI.to(gate_up_TI.scalar_type())), values(gate_up_TI), dy_TI.size(0),
                            dy_TI.size(1));
  }

  void row_stats(at::Tensor const& logits_CV, at::Tensor const& targets_C, int64_t begin,
                 RowStats const& stats) const override {
    launch::row_stats(stream_(), floats(logits_CV), logits_CV.size(0), logits_CV.size(1), integers(targets_C),
                      {.max = floats(stats.max_N) + begin,
                       .sum_exp = floats(stats.sum_exp_N) + begin,
                       .sum_dot = floats(stats.sum_dot_N) + begin,
                       .sum = floats(stats.sum_N) + begin,
                       .target = floats(stats.target_N) + begin,
                       .argmax = floats(stats.argmax_N) + begin});
  }

  void logits_to_gradient(at::Tensor const& logits_CV, at::Tensor const& targets_C, at::Tensor const& log_sum_exp_C,
                          at::Tensor const& dlogp_C) const override {
    launch::logits_to_gradient(stream_(), floats(logits_CV), logits_CV.size(0), logits_CV.size(1), integers(targets_C),
                               floats(log_sum_exp_C), floats(dlogp_C));
  }

  void adamw(AdamBuffers const& buffers, AdamSettings const& settings) const override {
    bool const apart = buffers.weights.defined() && !buffers.weights.is_same(buffers.master);
    launch::adamw(stream_(), {.p = floats(buffers.master),
                              .m = floats(buffers.exp_avg),
                              .v = floats(buffers.exp_avg_sq),
                              .grad = values(buffers.grad),
                              .weights = apart ? values(buffers.weights) : launch::Values{},
                              .count = buffers.master.numel(),
                              .grad_scale = settings.grad_scale,
                              .decay = settings.decay,
                              .beta1_rest = settings.beta1_rest,
                              .beta2 = settings.beta2,
                              .beta2_rest = settings.beta2_rest,
                              .step_size = settings.step_size,
                              .correction2 = settings.correction2,
                              .eps = settings.eps});
  }

  at::Tensor sum_of_squares(at::Tensor const& flat) const override {
    at::Tensor const partial = at::empty({launch::square_blocks(flat.numel())}, flat.options().dtype(at::kDouble));
    launch::sum_of_squares(stream_(), values(flat), flat.numel(), partial.data_ptr<double>());
    return partial.sum();
  }

private:
  static launch::Norm norm(at::Tensor const& x_TD, at::Tensor const& weight_D, at::Tensor const& y_TD,
                           at::Tensor const& scale_T) {
    return {values(x_TD), values(weight_D), values(y_TD), floats(scale_T), x_TD.size(0), x_TD.size(1)};
  }

  std::function<void*()> stream_;
};

}  // namespace

std::unique_ptr<DeviceKernels> launched_kernels(std::function<void*()> stream) {
  return std::make_unique<LaunchedKernels>(std::move(stream));
}

}  // namespace refrain::model::kernels
