#include <refrain/base/trace.hpp>
#include <refrain/model/parameter_store.hpp>

#include <ATen/ATen.h>

#include <algorithm>

namespace refrain::model {
namespace {

LayoutPlace place_of(Backend& backend, SequenceParallel sequence) {
  return {.tensor_rank = backend.tensor().rank(),
          .tensor_size = backend.tensor().size(),
          .data_rank = backend.data().rank(),
          .data_size = backend.data().size(),
          .sequence = sequence};
}

at::Tensor part(at::Tensor const& flat, FlatRange range) { return flat.narrow(0, range.begin, range.size()); }

}  // namespace

UnitLease::~UnitLease() {
  if (store_ != nullptr) store_->release(unit_);
}

ParameterStore::ParameterStore(checkpoint::ModelConfig const& config, Backend& backend, StoreOptions const& options)
    : config_(config),
      backend_(&backend),
      options_(options),
      layout_(config, place_of(backend, options.sequence), options.adapter) {
  allocate();
}

void ParameterStore::allocate() {
  auto const weights = at::TensorOptions(backend_->device()).dtype(scalar_type(options_.weights));
  auto const grads = weights.dtype(scalar_type(options_.grads));
  for (int unit = 0; unit < units(); ++unit) {
    int64_t const shard = layout_.shard(unit).size(), whole = layout_.elements(unit);
    flat_weights_.push_back(at::zeros({shares(Zero::parameters) ? shard : whole}, weights));
    flat_grads_.push_back(layout_.trained(unit) && options_.gradients ? at::zeros({shares(Zero::gradients) ? shard : whole}, grads)
                                                : at::Tensor());
  }
  if (shares(Zero::parameters)) gathered_.resize(static_cast<std::size_t>(units()));
  if (layout_.place().data_size == 1 || !options_.gradients) return;
  pending_.push_back({.grads = at::zeros({layout_.trained(0) ? layout_.elements(0) : 0}, grads), .ticket = {}});
  int64_t const largest = layout_.largest_elements(std::max(1, layout_.first_trained()));
  for (int i = 0; i < options_.grad_buffers; ++i)
    pending_.push_back({.grads = at::zeros({largest}, grads), .ticket = {}});
}

UnitLease ParameterStore::acquire(int unit) {
  if (shares(Zero::parameters)) {
    acquire_alone(unit);
    if (int const adapter = layout_.adapter_of(unit); adapter >= 0) acquire_alone(adapter);
  }
  return UnitLease(*this, unit);
}

void ParameterStore::acquire_alone(int unit) {
  prefetch_alone(unit);
  Gathered& gathered = gathered_[unit];
  if (!gathered.arrived) backend_->data().wait(gathered.ticket, comm::Lane::gather);
  gathered.arrived = true;
  ++gathered.leases;
}

void ParameterStore::prefetch(int unit) {
  if (!shares(Zero::parameters)) return;
  prefetch_alone(unit);
  if (int const adapter = layout_.adapter_of(unit); adapter >= 0) prefetch_alone(adapter);
}

void ParameterStore::prefetch_alone(int unit) {
  if (gathered_[unit].weights.defined()) return;
  trace::Span const span("gather parameters", "unit", unit);
  Gathered& gathered = gathered_[unit];
  gathered.weights = gather_buffer(unit);
  gathered.ticket =
      backend_->data().all_gather(buffer_of(gathered.weights), buffer_of(flat_weights_[unit]), comm::Lane::gather);
}

at::Tensor ParameterStore::gather_buffer(int unit) {
  // Blocks, which are of one size (and their adapters), take turns with few buffers; the two tables come and go.
  auto const fitting = std::find_if(free_block_buffers_.begin(), free_block_buffers_.end(),
                                    [&](at::Tensor const& free) { return free.numel() == layout_.elements(unit); });
  if (fitting != free_block_buffers_.end()) {
    at::Tensor buffer = *fitting;
    free_block_buffers_.erase(fitting);
    return buffer;
  }
  return at::empty({layout_.elements(unit)}, flat_weights_[unit].options());
}

void ParameterStore::release(int unit) {
  if (!shares(Zero::parameters)) return;
  release_alone(unit);
  if (int const adapter = layout_.adapter_of(unit); adapter >= 0) release_alone(adapter);
}

void ParameterStore::release_alone(int unit) {
  if (--gathered_[unit].leases > 0) return;
  bool const is_table = unit == 0 || unit == layout_.model_units() - 1;
  if (!is_table) free_block_buffers_.push_back(gathered_[unit].weights);
  gathered_[unit] = {};
}

at::Tensor ParameterStore::fused_view(at::Tensor const& flat, ParamId first, int count) const {
  ParamSpec const& spec = specs()[first];
  if (count == 1) return flat.narrow(0, spec.offset, spec.local_count()).view(spec.local_shape);
  int64_t elements = 0;
  for (int i = 0; i < count; ++i) {
    TORCH_INTERNAL_ASSERT(specs()[first + i].offset == spec.offset + elements);
    elements += specs()[first + i].local_count();
  }
  at::Tensor const all = flat.narrow(0, spec.offset, elements);
  return spec.local_shape.size() == 1 ? all : all.view({-1, spec.local_shape[1]});
}

at::Tensor ParameterStore::fused_weight(ParamId first, int count) const {
  int const unit = specs()[first].info.unit;
  if (!shares(Zero::parameters)) return fused_view(flat_weights_[unit], first, count);
  TORCH_INTERNAL_ASSERT(gathered_[unit].arrived, "unit ", unit, " is not acquired");
  return fused_view(gathered_[unit].weights, first, count);
}

at::Tensor ParameterStore::fused_grad(ParamId first, int count) const {
  int const unit = specs()[first].info.unit;
  if (!layout_.trained(unit)) return {};
  return fused_view(pending_.empty() ? flat_grads_[unit] : pending_of(unit).grads, first, count);
}

FlatRange ParameterStore::owned(int unit) const {
  return shares(Zero::optimizer) ? layout_.shard(unit) : layout_.whole(unit);
}

at::Tensor ParameterStore::owned_weights(int unit) const {
  return shares(Zero::parameters) ? flat_weights_[unit] : part(flat_weights_[unit], owned(unit));
}

at::Tensor ParameterStore::owned_grads(int unit) const {
  return shares(Zero::gradients) ? flat_grads_[unit] : part(flat_grads_[unit], owned(unit));
}

void ParameterStore::publish() {
  if (!shares(Zero::optimizer) || shares(Zero::parameters)) return;
  auto& data = backend_->data();
  for (int unit = layout_.first_trained(); unit < units(); ++unit)
    data.wait(data.all_gather(buffer_of(flat_weights_[unit]), buffer_of(owned_weights(unit)), comm::Lane::gather),
              comm::Lane::gather);
}

void ParameterStore::zero_grads() {
  trace::Span const span("clear gradients");
  for (int unit = layout_.first_trained(); unit < units(); ++unit) flat_grads_[unit].zero_();
}

ParameterStore::Pending& ParameterStore::pending_of(int unit) {
  return unit == 0 ? pending_[0] : pending_[1 + static_cast<std::size_t>(unit) % (pending_.size() - 1)];
}

void ParameterStore::reduce(int unit) {
  if (pending_.empty()) return;
  if (layout_.trained(unit))
    reduce_alone(unit);
  else if (int const adapter = layout_.adapter_of(unit); adapter >= 0)
    reduce_alone(adapter);
}

void ParameterStore::reduce_alone(int unit) {
  trace::Span const span("reduce gradients", "unit", unit);
  auto& data = backend_->data();
  Pending& pending = pending_of(unit);
  comm::Buffer const whole = buffer_of(pending.grads.narrow(0, 0, layout_.elements(unit)));
  pending.ticket = shares(Zero::gradients) ? data.reduce_scatter(buffer_of(part(pending.grads, layout_.shard(unit))),
                                                                 whole, comm::Lane::reduce)
                                           : data.all_reduce(whole, comm::ReduceOp::sum, comm::Lane::reduce);
  pending.unit = unit;
  // The next unit's backward writes to another buffer than this one, if there is another.
  for (Pending& other : pending_)
    if (&other != &pending || options_.grad_buffers == 1) finish(other);
}

void ParameterStore::finish(Pending& pending) {
  if (pending.unit < 0) return;
  backend_->data().wait(pending.ticket, comm::Lane::reduce);
  int const unit = pending.unit;
  flat_grads_[unit].add_(part(pending.grads, shares(Zero::gradients) ? layout_.shard(unit) : layout_.whole(unit)));
  pending.grads.narrow(0, 0, layout_.elements(unit)).zero_();
  pending.unit = -1;
}

void ParameterStore::finish_reductions() {
  for (Pending& pending : pending_) finish(pending);
}

void ParameterStore::finish_grads() {
  // All such parts in one message.
  std::vector<at::Tensor> parts;
  for (int unit = layout_.first_trained(); unit < units(); ++unit)
    layout_.for_each_piece(unit, owned(unit), [&](ParameterLayout::Piece const& piece) {
      if (piece.spec.grad_partial_over_tensor) parts.push_back(owned_grads(unit).narrow(0, piece.at, piece.count));
    });
  if (parts.empty()) return;
  at::Tensor const joined = at::cat(parts);
  auto& tensor = backend_->tensor();
  tensor.wait(tensor.all_reduce(buffer_of(joined), comm::ReduceOp::sum, comm::Lane::compute), comm::Lane::compute);
  int64_t begin = 0;
  for (at::Tensor const& target : parts) {
    target.copy_(joined.narrow(0, begin, target.numel()));
    begin += target.numel();
  }
}

}  // namespace refrain::model
