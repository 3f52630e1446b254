#pragma once

#include <bit>
#include <cstdint>

namespace refrain::model::loops {

// exp(x) within 2 units in the last place; 0 below -86.9 (no denormal results), NaN for NaN. Cephes' expf: reduction by
// multiples of ln 2 in two parts, then a polynomial of degree 5 for (exp(r) - 1 - r) / r^2.
[[gnu::always_inline]] inline float exponential(float x) {
  constexpr float lowest = -86.9F, highest = 88.72F, round_magic = 12582912.F;  // 1.5 * 2^23
  float const bounded = x < lowest ? lowest : (x > highest ? highest : x);
  float const shifted = bounded * 1.44269504088896341F + round_magic;
  float const n = shifted - round_magic;
  float const r = (bounded - n * 0.693359375F) - n * -2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.F;
  // The lowest bits of `shifted` are n: moved into the exponent they multiply by 2^n. Halved and doubled, since 2^128
  // has no exponent.
  uint32_t const exponent = (std::bit_cast<uint32_t>(shifted) + 126U) << 23;
  float const result = p * std::bit_cast<float>(exponent) * 2.F;
  return x < lowest ? 0.F : result;
}

}  // namespace refrain::model::loops
