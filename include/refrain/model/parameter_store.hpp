#pragma once

#include <refrain/checkpoint/model_config.hpp>
#include <refrain/checkpoint/tensor_source.hpp>
#include <refrain/model/backend.hpp>

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace refrain::model {

using ParamId = int;

/// One parameter as this tensor rank holds it.
struct ParamSpec {
  checkpoint::ParameterInfo info;      ///< Hugging Face's name, global shape, split, unit
  Shape local_shape;                   ///< padded: the vocabulary is rounded up to a multiple of the tensor degree
  checkpoint::Slice global;            ///< the part of the global tensor here, padding left out (count may be 0)
  int64_t offset = 0;                  ///< of its first element in its unit's flat buffer
  bool grad_partial_over_tensor = false;  ///< its gradient is a partial sum that must be reduced over the tensor ranks
};

class ParameterStore;

/// Keeps a unit's weights in memory while it lives.
class UnitLease {
public:
  explicit UnitLease(ParameterStore& store, int unit) : store_(&store), unit_(unit) {}

private:
  ParameterStore* store_;
  int unit_;
};

/// All parameters of this rank, one flat buffer a unit (embedding | block i | last norm and head), so that sharding,
/// gathering, reducing and the optimizer work on few long vectors. Weights that one product uses (q|k|v, gate|up) lie side
/// by side, so that the fused matrix is a view too.
class ParameterStore {
public:
  /// @throws Error if heads, KV heads or intermediate size do not divide by the tensor degree, naming one that works
  ParameterStore(checkpoint::ModelConfig const& config, Backend& backend, DType weight_dtype, DType grad_dtype);

  /// Reads this rank's slices, tensor by tensor. @throws Error, also for NaN or Inf, naming the tensor
  void load(checkpoint::TensorSource const& source);

  checkpoint::ModelConfig const& config() const noexcept { return config_; }
  Backend& backend() const noexcept { return *backend_; }
  int units() const noexcept { return static_cast<int>(flat_weights_.size()); }
  std::vector<ParamSpec> const& specs() const noexcept { return specs_; }
  ParamId id(std::string const& name) const;

  UnitLease acquire(int unit) { return UnitLease(*this, unit); }
  at::Tensor weight(ParamId id) const;      ///< a view of shape local_shape
  at::Tensor main_grad(ParamId id) const;   ///< a view of the same shape, gradients accumulate here
  /// Views over consecutive parameters of one unit that share their columns: [sum of rows, columns].
  at::Tensor fused_weight(ParamId first, int count) const;
  at::Tensor fused_grad(ParamId first, int count) const;

  at::Tensor flat_weights(int unit) const { return flat_weights_[unit]; }
  at::Tensor flat_grads(int unit) const { return flat_grads_[unit]; }

  void zero_grads();
  /// Sums a unit's gradients over the data ranks (and what is partial over the tensor ranks), in rank order. Called once a
  /// micro-batch, when the unit's backward is done. @collective
  void reduce(int unit);

private:
  checkpoint::ModelConfig config_;
  Backend* backend_;
  std::vector<ParamSpec> specs_;
  std::vector<at::Tensor> flat_weights_, flat_grads_;
};

}  // namespace refrain::model
