#pragma once

#include <ATen/core/Tensor.h>

/// Matrix products with weights that may be narrower than fp32. On the CPU they are computed in fp32; results have the
/// type of the activations.
namespace refrain::model {

/// x W^T: [T, I] x [O, I] -> [T, O].
at::Tensor times_transposed(at::Tensor const& x_TI, at::Tensor const& weight_OI);
/// dy W: [T, O] x [O, I] -> [T, I].
at::Tensor times(at::Tensor const& dy_TO, at::Tensor const& weight_OI);
/// y += x W^T: [T, O], whose rows may be part of wider ones; [T, I]; [O, I].
void add_times_transposed(at::Tensor const& y_TO, at::Tensor const& x_TI, at::Tensor const& weight_OI);
/// dx += dy W: [T, I], [T, O], [O, I].
void add_times(at::Tensor const& dx_TI, at::Tensor const& dy_TO, at::Tensor const& weight_OI);
/// grad += dy^T x: [T, O], [T, I] -> [O, I].
void add_outer_product(at::Tensor const& grad_OI, at::Tensor const& dy_TO, at::Tensor const& x_TI);

}  // namespace refrain::model
