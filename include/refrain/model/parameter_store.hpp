#pragma once

#include <refrain/model/backend.hpp>
#include <refrain/model/parameter_layout.hpp>

#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>
#include <vector>

namespace refrain::model {

/// What the data ranks share instead of each holding all of it (ZeRO, arXiv 1910.02054): nothing, the optimizer's
/// state, the gradients too, the parameters too.
enum class Zero { none = 0, optimizer = 1, gradients = 2, parameters = 3 };

struct StoreOptions {
  DType weights = DType::fp32, grads = DType::fp32;  ///< fp32 or bf16
  Zero zero = Zero::none;
  SequenceParallel sequence = SequenceParallel::off;
  /// Buffers that units take turns with in backward: with 2, one unit's gradients are reduced while the next one's are
  /// computed.
  int grad_buffers = 1;
  bool gradients = true;  ///< whether there is memory for them; without, nothing runs backward
  /// Trains this adapter beside the model, which is frozen then.
  std::optional<checkpoint::AdapterConfig> adapter = std::nullopt;
};

class ParameterStore;

/// Keeps a unit's weights in memory while it lives.
class [[nodiscard]] UnitLease {
public:
  UnitLease(ParameterStore& store, int unit) : store_(&store), unit_(unit) {}
  UnitLease(UnitLease&& other) noexcept : store_(std::exchange(other.store_, nullptr)), unit_(other.unit_) {}
  UnitLease& operator=(UnitLease&&) = delete;
  ~UnitLease();

private:
  ParameterStore* store_;
  int unit_;
};

/// All parameters of this rank, laid out as ParameterLayout says, with what of them the data ranks share.
///
/// Weights: whole buffers, or under Zero::parameters this rank's shard of each, from which `acquire` gathers a unit for
/// as long as the lease lives.
///
/// Gradients: backward adds to `main_grad`. With one data rank that is the step's gradient itself. With several it is
/// the micro-batch's, in a buffer that units take turns with (the embedding has its own): `reduce` sums it over the
/// data ranks, adds the sum to `flat_grads` (this rank's shard of it from Zero::gradients on), and clears it. So
/// between two calls of `reduce` only one unit's backward may run, besides the embedding's (whose weight is the head's
/// too where they are tied: reduce it once, last). Sums are taken in rank order, element by element: all stages end
/// with the same bits.
///
/// With an adapter, the model's units are frozen: they have weights alone, whole or sharded as above, and the functions
/// below that speak of gradients and of the optimizer mean the adapter's units. A block's adapter is acquired,
/// prefetched and reduced with its block.
class ParameterStore {
public:
  /// @throws Error if the tensor degree does not divide the model (check_tensor_degree)
  ParameterStore(checkpoint::ModelConfig const& config, Backend& backend, StoreOptions const& options = {});

  checkpoint::ModelConfig const& config() const noexcept { return config_; }
  Backend& backend() const noexcept { return *backend_; }
  StoreOptions const& options() const noexcept { return options_; }
  ParameterLayout const& layout() const noexcept { return layout_; }
  int units() const noexcept { return layout_.units(); }
  std::vector<ParamSpec> const& specs() const noexcept { return layout_.specs(); }
  ParamId id(std::string const& name) const { return layout_.id(name); }

  /// The weights of a unit are in memory while the lease lives. @collective over data under Zero::parameters
  UnitLease acquire(int unit);
  /// Begins to gather a unit that is acquired soon. @collective as above
  void prefetch(int unit);
  /// Views of shape local_shape. @pre the unit is acquired, where weights are sharded
  at::Tensor weight(ParamId id) const { return fused_weight(id, 1); }
  at::Tensor main_grad(ParamId id) const { return fused_grad(id, 1); }  ///< undefined where it is frozen
  /// Views over consecutive parameters of one unit that share their columns: [sum of rows, columns], or of vectors.
  at::Tensor fused_weight(ParamId first, int count) const;
  at::Tensor fused_grad(ParamId first, int count) const;

  bool trained(ParamId id) const { return layout_.trained(specs()[id].info.unit); }
  /// The part of a unit's weights that this rank holds for good, and where it lies in its buffer: what to fill with the
  /// frozen units' weights.
  at::Tensor held_weights(int unit) const { return flat_weights_[unit]; }
  FlatRange held(int unit) const { return shares(Zero::parameters) ? layout_.shard(unit) : layout_.whole(unit); }

  /// The part of a unit's buffer that this rank's optimizer works on: all of it, or its shard.
  FlatRange owned(int unit) const;
  /// That part of the weights, of type options().weights. Write to it, then `publish`.
  at::Tensor owned_weights(int unit) const;
  /// That part of the step's gradient, of type options().grads.
  at::Tensor owned_grads(int unit) const;
  /// Brings the owned parts of all data ranks to everyone, where everyone holds them all. @collective over data
  void publish();

  /// A unit's weights, [elements]; [shard] under Zero::parameters.
  at::Tensor flat_weights(int unit) const { return flat_weights_[unit]; }
  /// The step's gradient so far, laid out alike: of all data ranks once the unit is reduced. [shard] from
  /// Zero::gradients on. Undefined where the unit is frozen.
  at::Tensor flat_grads(int unit) const { return flat_grads_[unit]; }

  /// Before a step's first micro-batch.
  void zero_grads();
  /// Sums a unit's gradients over the data ranks, its adapter's where it is frozen. Called once a micro-batch, when the
  /// unit's backward is done.
  /// @collective over data
  void reduce(int unit);
  /// Behind a micro-batch's last unit: no reduction is under way any more.
  void finish_reductions();
  /// Behind a step's last micro-batch: sums the owned part of what is partial over the tensor ranks. @collective over
  /// tensor
  void finish_grads();

private:
  friend class UnitLease;

  /// A buffer that gradients of a micro-batch are added to, and the reduction that reads it.
  struct Pending {
    at::Tensor grads;
    int unit = -1;  // whose reduction is under way
    comm::Ticket ticket;
  };

  bool shares(Zero part) const { return options_.zero >= part && layout_.place().data_size > 1; }
  void allocate();
  at::Tensor fused_view(at::Tensor const& flat, ParamId first, int count) const;
  void acquire_alone(int unit);
  void prefetch_alone(int unit);
  void release_alone(int unit);
  void release(int unit);
  void reduce_alone(int unit);
  at::Tensor gather_buffer(int unit);
  Pending& pending_of(int unit);
  Pending const& pending_of(int unit) const { return const_cast<ParameterStore*>(this)->pending_of(unit); }
  void finish(Pending& pending);

  checkpoint::ModelConfig config_;
  Backend* backend_;
  StoreOptions options_;
  ParameterLayout layout_;
  std::vector<at::Tensor> flat_weights_, flat_grads_;
  std::vector<Pending> pending_;  // the embedding's, then those that the other units take turns with

  /// A unit whose weights are gathered, or on their way.
  struct Gathered {
    at::Tensor weights;
    comm::Ticket ticket;
    bool arrived = false;
    int leases = 0;
  };
  std::vector<Gathered> gathered_;
  std::vector<at::Tensor> free_block_buffers_;
};

}  // namespace refrain::model
