#pragma once

namespace refrain::model::kernels {

/// Coefficients of one step of AdamW, rounded to fp32 where torch rounds.
struct AdamSettings {
  float grad_scale, decay, beta1_rest, beta2, beta2_rest, step_size, correction2, eps;
};

}  // namespace refrain::model::kernels
