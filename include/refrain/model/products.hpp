#pragma once

#include <ATen/core/Tensor.h>

/// Matrix products with weights that may be narrower than fp32; results have the type of the activations. On the CPU
/// they are computed in fp32; on a GPU in that type, with sums in fp32.
namespace refrain::model {

/// x W^T: [T, I] x [O, I] -> [T, O].
at::Tensor times_transposed(at::Tensor const& x_TI, at::Tensor const& weight_OI);
/// The same where nothing runs backward. On a CPU oneDNN computes it, whose kernels take AVX-512 on every maker's CPUs;
/// MKL's, which libtorch takes otherwise, do not.
at::Tensor times_transposed_forward(at::Tensor const& x_TI, at::Tensor const& weight_OI);
/// dy W: [T, O] x [O, I] -> [T, I].
at::Tensor times(at::Tensor const& dy_TO, at::Tensor const& weight_OI);
/// y += x W^T: [T, O], whose rows may be part of wider ones; [T, I]; [O, I].
void add_times_transposed(at::Tensor const& y_TO, at::Tensor const& x_TI, at::Tensor const& weight_OI);
/// dx += dy W: [T, I], [T, O], [O, I].
void add_times(at::Tensor const& dx_TI, at::Tensor const& dy_TO, at::Tensor const& weight_OI);
/// grad += dy^T x: [T, O], [T, I] -> [O, I].
void add_outer_product(at::Tensor const& grad_OI, at::Tensor const& dy_TO, at::Tensor const& x_TI);

/// A factor of several products as they take it: in fp32 on the CPU, as it is on a GPU.
at::Tensor as_factor(at::Tensor const& x);

/// logits = hidden W^T in fp32, whatever the types of the two: [C, D] x [V, D] -> [C, V]. On a GPU bf16 is multiplied
/// as it is, so that no fp32 copy of the output matrix is made.
void logits_of(at::Tensor logits_CV, at::Tensor const& hidden_CD, at::Tensor const& weight_VD);

}  // namespace refrain::model
