#pragma once

#include <cstdint>

namespace refrain::train {

/// What AdamW's formula needs, rounded to fp32 where torch rounds.
struct AdamCoefficients {
  float grad_scale, decay, beta1_rest, beta2, beta2_rest, step_size, correction2, eps;
};

/// One pass over `count` elements: reads p, m, v, g and writes p, m, v. No two of them overlap. Element by element, so
/// its results do not depend on how a vector is cut; its source alone is compiled to vector instructions.
void adamw_loop(float* __restrict p, float* __restrict m, float* __restrict v, float const* __restrict g, int64_t count,
                AdamCoefficients const& c);

}  // namespace refrain::train
