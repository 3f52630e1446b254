#include <refrain/base/error.hpp>
#include <refrain/model/parameter_store.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <string_view>

namespace refrain::model {
namespace {

// A matrix product's result may depend on its operands' alignment, its speed does: elements of 64 bytes in bf16.
constexpr int64_t alignment = 32;

// Whether `name` continues the fused matrix that the parameter before it belongs to.
bool continues_fused_matrix(std::string_view name) {
  return name.ends_with(".k_proj.weight") || name.ends_with(".v_proj.weight") || name.ends_with(".up_proj.weight");
}

// What rank `rank` of `degree` holds. Only a vocabulary need not divide: the last ranks then hold fewer rows, or none.
ParamSpec local_part(checkpoint::ParameterInfo const& info, int rank, int degree) {
  ParamSpec spec{.info = info, .local_shape = info.shape, .global = {Shape(info.shape.size(), 0), info.shape}};
  if (info.split != checkpoint::Split::none) {
    std::size_t const axis = info.split == checkpoint::Split::rows ? 0 : 1;
    int64_t const whole = info.shape[axis], part = (whole + degree - 1) / degree;
    spec.local_shape[axis] = part;
    spec.global.start[axis] = std::min(whole, rank * part);
    spec.global.count[axis] = std::clamp<int64_t>(whole - rank * part, 0, part);
  }
  return spec;
}

}  // namespace

void check_tensor_degree(checkpoint::ModelConfig const& config, int degree) {
  int64_t const common =
      std::gcd(std::gcd(config.num_attention_heads, config.num_key_value_heads), config.intermediate_size);
  if (common % degree == 0) return;
  std::string working;
  for (int64_t divisor = 1; divisor <= common; ++divisor)
    if (common % divisor == 0) working += (working.empty() ? "" : ", ") + std::to_string(divisor);
  throw Error("tensor-parallel degree " + std::to_string(degree) + " does not divide the model's " +
                  std::to_string(config.num_attention_heads) + " heads, " + std::to_string(config.num_key_value_heads) +
                  " key-value heads and intermediate size " + std::to_string(config.intermediate_size),
              "degrees that work: " + working);
}

ParameterStore::ParameterStore(checkpoint::ModelConfig const& config, Backend& backend, DType weight_dtype,
                               DType grad_dtype)
    : config_(config), backend_(&backend) {
  check_tensor_degree(config, backend.tensor().size());
  lay_out();
  allocate(scalar_type(weight_dtype), scalar_type(grad_dtype));
}

void ParameterStore::lay_out() {
  for (checkpoint::ParameterInfo const& info : checkpoint::parameter_list(config_)) {
    unit_elements_.resize(std::max<std::size_t>(unit_elements_.size(), info.unit + 1), 0);
    int64_t& elements = unit_elements_[info.unit];
    if (!continues_fused_matrix(info.name)) elements = (elements + alignment - 1) / alignment * alignment;
    ParamSpec spec = local_part(info, backend_->tensor().rank(), backend_->tensor().size());
    spec.offset = elements;
    elements += spec.local_count();
    ids_.emplace(info.name, static_cast<ParamId>(specs_.size()));
    specs_.push_back(std::move(spec));
  }
}

void ParameterStore::allocate(at::ScalarType weight_type, at::ScalarType grad_type) {
  auto const weights = at::TensorOptions(backend_->device()).dtype(weight_type);
  auto const grads = weights.dtype(grad_type);
  for (int64_t elements : unit_elements_) {
    flat_weights_.push_back(at::zeros({elements}, weights));
    flat_grads_.push_back(at::zeros({elements}, grads));
  }
  if (backend_->data().size() == 1) {
    pending_grads_ = flat_grads_;
    return;
  }
  at::Tensor const shared = at::zeros({*std::max_element(unit_elements_.begin() + 1, unit_elements_.end())}, grads);
  pending_grads_.push_back(at::zeros({unit_elements_[0]}, grads));
  for (int unit = 1; unit < units(); ++unit) pending_grads_.push_back(shared.narrow(0, 0, unit_elements_[unit]));
}

ParamId ParameterStore::id(std::string const& name) const {
  auto const found = ids_.find(name);
  if (found == ids_.end())
    throw Error("the model has no such parameter", "use a name of its weight files", {.object = name});
  return found->second;
}

at::Tensor ParameterStore::fused_view(at::Tensor const& flat, ParamId first, int count) const {
  ParamSpec const& spec = specs_[first];
  if (count == 1) return flat.narrow(0, spec.offset, spec.local_count()).view(spec.local_shape);
  int64_t elements = 0;
  for (int i = 0; i < count; ++i) {
    TORCH_INTERNAL_ASSERT(specs_[first + i].offset == spec.offset + elements);
    elements += specs_[first + i].local_count();
  }
  return flat.narrow(0, spec.offset, elements).view({-1, spec.local_shape[1]});
}

at::Tensor ParameterStore::fused_weight(ParamId first, int count) const {
  return fused_view(flat_weights_[specs_[first].info.unit], first, count);
}

at::Tensor ParameterStore::fused_grad(ParamId first, int count) const {
  return fused_view(pending_grads_[specs_[first].info.unit], first, count);
}

void ParameterStore::zero_grads() {
  for (int unit = 0; unit < units(); ++unit) {
    flat_grads_[unit].zero_();
    pending_grads_[unit].zero_();
  }
}

void ParameterStore::reduce(int unit) {
  for (ParamId id = 0; id < static_cast<ParamId>(specs_.size()); ++id) {
    if (specs_[id].info.unit == unit && specs_[id].grad_partial_over_tensor) {
      auto& tensor = backend_->tensor();
      tensor.wait(tensor.all_reduce(buffer_of(main_grad(id)), comm::ReduceOp::sum, comm::Lane::reduce),
                  comm::Lane::reduce);
    }
  }
  auto& data = backend_->data();
  if (data.size() == 1) return;
  at::Tensor const pending = pending_grads_[unit];
  data.wait(data.all_reduce(buffer_of(pending), comm::ReduceOp::sum, comm::Lane::reduce), comm::Lane::reduce);
  flat_grads_[unit].add_(pending);
  pending.zero_();
}

}  // namespace refrain::model
