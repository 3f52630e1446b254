#include <refrain/model/rotary.hpp>

#include <ATen/ATen.h>

#include <numbers>

namespace refrain::model {

at::Tensor rotary_frequencies(checkpoint::ModelConfig const& config) {
  using Type = checkpoint::RopeScaling::Type;
  auto const& scaling = config.rope_scaling;
  at::Tensor const exponent_R = at::arange(0, config.head_dim, 2, at::kFloat) / static_cast<double>(config.head_dim);
  at::Tensor const plain_R = at::pow(config.rope_theta, exponent_R).reciprocal();
  if (scaling.type == Type::none) return plain_R;
  at::Tensor const slowed_R = plain_R / scaling.factor;
  if (scaling.type == Type::linear) return slowed_R;
  // llama3: long waves are slowed down, short ones kept, those between blended.
  auto const context = static_cast<double>(scaling.original_max_position_embeddings);
  double const longest = context / scaling.low_freq_factor, shortest = context / scaling.high_freq_factor;
  at::Tensor const wave_R = 2 * std::numbers::pi / plain_R;
  at::Tensor const smooth_R =
      (context / wave_R - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  at::Tensor const blended_R = (1 - smooth_R) * slowed_R + smooth_R * plain_R;
  return at::where(wave_R > longest, slowed_R, at::where(wave_R < shortest, plain_R, blended_R));
}

RotaryTable RotaryTable::make(at::Tensor const& frequencies_R, int64_t positions) {
  at::Tensor const angle_PR = at::arange(positions, frequencies_R.options()).unsqueeze(1) * frequencies_R;
  return {angle_PR.cos(), angle_PR.sin()};
}

}  // namespace refrain::model
