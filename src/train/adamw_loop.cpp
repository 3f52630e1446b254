#include "adamw_loop.hpp"

#include <cmath>

namespace refrain::train {

void adamw_loop(float* __restrict p, float* __restrict m, float* __restrict v, float const* __restrict g, int64_t count,
                AdamCoefficients const& c) {
  AdamCoefficients const k = c;  // a copy, which what is written cannot change
  for (int64_t i = 0; i < count; ++i) {
    float const grad = g[i] * k.grad_scale;
    float const mean = m[i] + k.beta1_rest * (grad - m[i]);
    float const square = k.beta2 * v[i] + k.beta2_rest * grad * grad;
    m[i] = mean;
    v[i] = square;
    p[i] = p[i] * k.decay - k.step_size * mean / (std::sqrt(square) / k.correction2 + k.eps);
  }
}

}  // namespace refrain::train
