#pragma once

#include <refrain/checkpoint/tensor_source.hpp>
#include <refrain/model/parameter_store.hpp>
#include <refrain/model/slices.hpp>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace refrain::train {

/// A step's settings for AdamW; beta1 0.9, beta2 0.999, eps 1e-8 as in transformers' TrainingArguments.
struct AdamStep {
  int64_t number = 1;  ///< from 1, for the bias correction
  double learning_rate = 0, weight_decay = 0;
  double grad_scale = 1;  ///< what clipping multiplies gradients by
};

/// AdamW over the parts of a ParameterStore's buffers that this rank owns: one pass over long vectors. The master
/// weights are fp32; where the weights are fp32 too, they are the same memory. Frozen units have none of it.
class Optimizer {
public:
  explicit Optimizer(model::ParameterStore& store);

  /// Master weights of what is trained, unrounded, and the store's weights from them; moments are 0. `source` is the
  /// model, or the adapter where one is trained. Touches this rank's part alone: `publish` it then. @throws Error, also
  /// for NaN or Inf, naming the tensor
  void load_master(checkpoint::TensorSource const& source);

  /// The norm over all parameters of the model, from fp64 partial sums; a parameter that several tensor ranks hold
  /// counts once. Each data rank sums its shard, whatever it owns. @collective over all ranks
  double grad_norm() const;

  /// torch.optim.AdamW's update (decoupled decay, on matrices only), then the store's weights from the master's.
  /// @collective over the data ranks
  void step(AdamStep const& settings);

  /// Weights of the store from the master weights, rounded to their type, on all data ranks. @collective over them
  void publish();

  /// fp32, the part of a unit's buffer that this rank owns; undefined where the unit is frozen.
  at::Tensor master(int unit) const { return master_[static_cast<std::size_t>(unit)]; }
  at::Tensor exp_avg(int unit) const { return exp_avg_[static_cast<std::size_t>(unit)]; }
  at::Tensor exp_avg_sq(int unit) const { return exp_avg_sq_[static_cast<std::size_t>(unit)]; }
  model::ParameterStore& store() const noexcept { return store_; }

private:
  model::ParameterStore& store_;
  std::vector<at::Tensor> master_, exp_avg_, exp_avg_sq_;
};

/// The factor that torch.nn.utils.clip_grad_norm_ applies: max_norm / (norm + 1e-6), at most 1; 1 for max_norm 0.
double clip_factor(double norm, double max_norm) noexcept;

}  // namespace refrain::train
