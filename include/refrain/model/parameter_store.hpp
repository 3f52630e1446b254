#pragma once

#include <refrain/checkpoint/model_config.hpp>
#include <refrain/checkpoint/tensor_source.hpp>
#include <refrain/model/backend.hpp>

#include <ATen/core/Tensor.h>

#include <string>
#include <unordered_map>
#include <vector>

namespace refrain::model {

/// A parameter's place in `ParameterStore::specs`, which are in the order of the forward pass.
using ParamId = int;

/// One parameter as this tensor rank holds it.
struct ParamSpec {
  checkpoint::ParameterInfo info;  ///< Hugging Face's name, global shape, split, unit
  Shape local_shape;               ///< padded: the vocabulary is rounded up to a multiple of the tensor degree
  checkpoint::Slice global;        ///< the part of the global tensor here, padding left out (count may be 0); on axis 0
                                   ///< it fills the first count[0] rows of local_shape, the rest is padding and stays 0
  int64_t offset = 0;              ///< of its first element in its unit's flat buffer
  /// Its gradient is a partial sum that must be reduced over the tensor ranks. For norms whose rows the tensor ranks
  /// share (sequence parallelism); no parameter is such a one yet.
  bool grad_partial_over_tensor = false;

  int64_t local_count() const { return element_count(local_shape); }    ///< elements in the flat buffer, padding too
  int64_t global_count() const { return element_count(global.count); }  ///< the leading ones that are not padding
};

/// @throws Error if heads, KV heads or intermediate size do not divide by `degree`, naming those that work
void check_tensor_degree(checkpoint::ModelConfig const& config, int degree);

/// Keeps a unit's weights in memory while it lives. All units are always there so far: it holds nothing.
class UnitLease {
public:
  UnitLease() {}
};

/// All parameters of this rank, one flat buffer a unit (embedding | block i | last norm and head), so that sharding,
/// gathering, reducing and the optimizer work on few long vectors. Weights that one product uses (q|k|v, gate|up) lie
/// side by side, so that the fused matrix is a view too. Gaps between parameters (alignment) and padded rows are 0, in
/// the gradients too.
///
/// Backward adds to `main_grad`. With one data rank that is the step's gradient itself. With several it is the
/// micro-batch's, in a buffer that units share (the embedding has its own): `reduce` sums it over the data ranks, adds
/// the sum to `flat_grads`, and clears it. So between two calls of `reduce` only one unit's backward may run, besides
/// the embedding's (whose weight is the head's too where they are tied: reduce it once, last).
class ParameterStore {
public:
  /// `weight_dtype` and `grad_dtype`: fp32 or bf16.
  /// @throws Error if the tensor degree does not divide the model (check_tensor_degree)
  ParameterStore(checkpoint::ModelConfig const& config, Backend& backend, DType weight_dtype, DType grad_dtype);

  checkpoint::ModelConfig const& config() const noexcept { return config_; }
  Backend& backend() const noexcept { return *backend_; }
  int units() const noexcept { return static_cast<int>(flat_weights_.size()); }  ///< blocks + 2
  std::vector<ParamSpec> const& specs() const noexcept { return specs_; }
  ParamId id(std::string const& name) const;  ///< @throws Error if the model has no such parameter

  /// The weights of a unit are in memory while the lease lives.
  UnitLease acquire([[maybe_unused]] int unit) { return UnitLease(); }
  at::Tensor weight(ParamId id) const { return fused_weight(id, 1); }   ///< a view of shape local_shape
  at::Tensor main_grad(ParamId id) const { return fused_grad(id, 1); }  ///< a view of the same shape
  /// Views over consecutive parameters of one unit that share their columns: [sum of rows, columns].
  at::Tensor fused_weight(ParamId first, int count) const;
  at::Tensor fused_grad(ParamId first, int count) const;

  /// A unit's buffer, [elements], of type weight_dtype.
  at::Tensor flat_weights(int unit) const { return flat_weights_[unit]; }
  std::vector<at::Tensor> const& flat_weights() const noexcept { return flat_weights_; }  ///< of all units
  /// The step's gradient so far, laid out alike, of type grad_dtype: of all data ranks once the unit is reduced.
  at::Tensor flat_grads(int unit) const { return flat_grads_[unit]; }

  /// Before a step's first micro-batch.
  void zero_grads();
  /// Sums a unit's gradients over the data ranks (and what is partial over the tensor ranks), in rank order. Called
  /// once a micro-batch, when the unit's backward is done. @collective
  void reduce(int unit);

private:
  void lay_out();
  void allocate(at::ScalarType weight_type, at::ScalarType grad_type);
  at::Tensor fused_view(at::Tensor const& flat, ParamId first, int count) const;

  checkpoint::ModelConfig config_;
  Backend* backend_;
  std::vector<ParamSpec> specs_;
  std::unordered_map<std::string, ParamId> ids_;
  std::vector<int64_t> unit_elements_;
  std::vector<at::Tensor> flat_weights_, flat_grads_;
  std::vector<at::Tensor> pending_grads_;  // what backward adds to; flat_grads_ themselves with one data rank
};

}  // namespace refrain::model
