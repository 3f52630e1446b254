#pragma once

#include <refrain/checkpoint/model_config.hpp>

#include <ATen/core/Tensor.h>

namespace refrain::model {

/// fp32 [head_dim / 2]: radians a position of each rotated pair, as `_compute_default_rope_parameters`,
/// `_compute_linear_scaling_rope_parameters` and `_compute_llama3_parameters` of transformers' modeling_rope_utils.py
/// have them (computed in fp32 there and here).
at::Tensor rotary_frequencies(checkpoint::ModelConfig const& config);

/// cos and sin of position x frequency, fp32 [positions, head_dim / 2].
struct RotaryTable {
  at::Tensor cos_PR, sin_PR;

  /// @pre positions >= 0
  static RotaryTable make(at::Tensor const& frequencies_R, int64_t positions);
  /// How many positions the table has, from 0 on.
  int64_t positions() const { return cos_PR.defined() ? cos_PR.size(0) : 0; }
};

}  // namespace refrain::model
