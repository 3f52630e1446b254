#pragma once

#include <refrain/model/kernels.hpp>

#include <functional>
#include <memory>

namespace refrain::model::kernels {

/// The functions of kernels.hpp for tensors in a GPU's memory: same names, same meaning.
class DeviceKernels {
public:
  virtual ~DeviceKernels() = default;
  virtual NormOut rms_norm(at::Tensor const& x_TD, at::Tensor const& weight_D, double eps) const = 0;
  virtual at::Tensor rms_norm_again(at::Tensor const& x_TD, at::Tensor const& weight_D,
                                    at::Tensor const& scale_T) const = 0;
  virtual at::Tensor rms_norm_backward(at::Tensor const& dy_TD, at::Tensor const& x_TD, at::Tensor const& weight_D,
                                       at::Tensor const& scale_T, at::Tensor const& weight_grad_D) const = 0;
  virtual void rotate(at::Tensor const& x_TS, int64_t heads, int64_t head_dim, at::Tensor const& positions_T,
                      at::Tensor const& cos_PR, at::Tensor const& sin_PR, Rotation direction) const = 0;
  virtual at::Tensor swiglu(at::Tensor const& gate_up_TI) const = 0;
  virtual void swiglu_backward(at::Tensor const& dy_TI, at::Tensor const& gate_up_TI) const = 0;
  virtual void row_stats(at::Tensor const& logits_CV, at::Tensor const& targets_C, int64_t begin,
                         RowStats const& stats) const = 0;
  virtual void logits_to_gradient(at::Tensor const& logits_CV, at::Tensor const& targets_C,
                                  at::Tensor const& log_sum_exp_C, at::Tensor const& dlogp_C) const = 0;
  virtual void adamw(AdamBuffers const& buffers, AdamSettings const& settings) const = 0;
  virtual at::Tensor sum_of_squares(at::Tensor const& flat) const = 0;
};

/// The loops of cuda_*.cu, queued on the stream that `stream` names at each call.
std::unique_ptr<DeviceKernels> launched_kernels(std::function<void*()> stream);

/// From now on GPU tensors are given to `kernels`; called once, before there are any.
void install_device_kernels(std::unique_ptr<DeviceKernels> kernels);
/// @throws Error where none were installed
DeviceKernels const& device_kernels();

}  // namespace refrain::model::kernels
