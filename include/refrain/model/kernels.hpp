#pragma once

#include <refrain/model/adam_settings.hpp>

#include <ATen/core/Tensor.h>

#include <cstdint>

/// The few loops that libtorch's operators do only in several passes over memory. This is the seam where another device
/// gets its own: everything above speaks of tensors. All of them compute in fp32 whatever the tensors hold (fp32 or
/// bf16) and want contiguous tensors. In host memory they give the same bits at every number of threads; tensors in a
/// GPU's memory go to its own loops, whose sums are in another order.
namespace refrain::model::kernels {

/// What `rms_norm` gives.
struct NormOut {
  at::Tensor y_TD;     ///< of the type of x_TD
  at::Tensor scale_T;  ///< 1 / sqrt(mean(x^2) + eps), fp32
};
/// y = x / sqrt(mean(x^2) + eps) * weight, over the rows of x_TD (RMSNorm, arXiv 1910.07467).
NormOut rms_norm(at::Tensor const& x_TD, at::Tensor const& weight_D, double eps);
/// The same rows again from the scales that `rms_norm` gave: equal bits.
at::Tensor rms_norm_again(at::Tensor const& x_TD, at::Tensor const& weight_D, at::Tensor const& scale_T);
/// Gradient of x; adds that of the weight to `weight_grad_D` (fp32 or bf16), where that is defined.
at::Tensor rms_norm_backward(at::Tensor const& dy_TD, at::Tensor const& x_TD, at::Tensor const& weight_D,
                             at::Tensor const& scale_T, at::Tensor const& weight_grad_D);

/// By the angle of a position, or back: the gradient of a rotation is the rotation back.
enum class Rotation { forward, backward };

/// Rotates the first `heads` heads of each row in place: dimension j of a head together with j + head_dim / 2 (Llama's
/// layout in Hugging Face files). x_TS: rows of several heads of width `head_dim`; tables fp32 [positions, head_dim /
/// 2].
void rotate(at::Tensor const& x_TS, int64_t heads, int64_t head_dim, at::Tensor const& positions_T,
            at::Tensor const& cos_PR, at::Tensor const& sin_PR, Rotation direction);

/// silu(gate) * up (SwiGLU, arXiv 2002.05202), where gate and up are the halves of each row: [T, 2 I] -> [T, I].
at::Tensor swiglu(at::Tensor const& gate_up_TI);
/// Overwrites `gate_up_TI` by its gradient.
void swiglu_backward(at::Tensor const& dy_TI, at::Tensor const& gate_up_TI);

/// What one rank's slice of the vocabulary contributes to a row's softmax; one column a row of logits, fp32.
struct RowStats {
  at::Tensor max_N;      ///< -1e30 where the slice is empty
  at::Tensor sum_exp_N;  ///< sum of exp(l - max)
  at::Tensor sum_dot_N;  ///< sum of exp(l - max) (l - max)
  at::Tensor sum_N;      ///< sum of l
  at::Tensor target_N;   ///< l at the target, 0 if it is not in the slice
  at::Tensor argmax_N;   ///< place of the highest l in the slice, the lowest of equals; fp32, exact below 2^24
};
/// Writes rows [begin, begin + C) of `stats` from logits_CV (fp32); targets are places in the slice, others outside it.
void row_stats(at::Tensor const& logits_CV, at::Tensor const& targets_C, int64_t begin, RowStats const& stats);
/// Overwrites logits by dlogp * ([v == target] - exp(logits - log_sum_exp)).
void logits_to_gradient(at::Tensor const& logits_CV, at::Tensor const& targets_C, at::Tensor const& log_sum_exp_C,
                        at::Tensor const& dlogp_C);

/// Flat vectors of equal length that AdamW reads and writes: fp32, but for the gradient (fp32 or bf16) and the model's
/// weights (fp32 or bf16; undefined, or the master weights themselves, where there are no others).
struct AdamBuffers {
  at::Tensor master, exp_avg, exp_avg_sq, grad, weights;
};
/// torch.optim.AdamW's update in one pass, and the weights rounded from the result. An element's result does not depend
/// on where vectors are cut.
void adamw(AdamBuffers const& buffers, AdamSettings const& settings);
/// Sum of the squares of a flat vector (fp32 or bf16), fp64, as a scalar tensor beside it.
at::Tensor sum_of_squares(at::Tensor const& flat);

/// Whether no element is NaN or infinite.
bool all_finite(at::Tensor const& tensor);

}  // namespace refrain::model::kernels
