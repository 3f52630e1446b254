#pragma once

#include <refrain/model/adam_settings.hpp>

#include <cstdint>

namespace refrain::model::loops {

/// The vectors of one pass, none of which overlap. A bf16 value is the upper half of a float's bits.
struct AdamVectors {
  float* __restrict p, * __restrict m, * __restrict v;  ///< master weights and moments, read and written
  void const* g;                                        ///< gradients: fp32, or bf16
  bool bf16_grads;
  uint16_t* w;  ///< receives the new weights in bf16; null where the master weights are the weights
};

/// One pass over the elements [begin, end). Element by element, so its results do not depend on how a vector is cut;
/// its source alone is compiled to vector instructions.
void adamw(AdamVectors const& vectors, int64_t begin, int64_t end, kernels::AdamSettings const& settings);

/// Sum of squares in fp64 over the elements [begin, end) of fp32 or bf16 values.
double sum_of_squares(void const* values, bool bf16, int64_t begin, int64_t end);

}  // namespace refrain::model::loops
