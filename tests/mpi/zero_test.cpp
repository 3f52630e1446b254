// What the data ranks share changes no bit of a training run.
#include "small_model.hpp"

#include <refrain/train/optimizer.hpp>
#include <refrain/train/step_engine.hpp>

#include <catch2/catch.hpp>

#include <map>

using namespace refrain;
using namespace refrain::train;
using model::SequenceParallel;
using model::Zero;

namespace {

constexpr int64_t steps = 12, micro_batches = 2;

// Sizes that no number of ranks divides, but for what the tensor ranks must.
checkpoint::ModelConfig config(bool tied) {
  checkpoint::ModelConfig config = model::testing::small_config();
  config.vocab_size = 29;
  config.hidden_size = 18;
  config.intermediate_size = 22;
  config.num_hidden_layers = 3;
  config.tie_word_embeddings = tied;
  return config;
}

struct Setting {
  model::StoreOptions store;
  Recompute recompute = Recompute::none;
};

// Twelve steps of two micro-batches; what is left on this rank: its shard of the master weights and both moments, and
// the norms of the gradients.
std::vector<at::Tensor> trained(comm::ParallelLayout const& layout, checkpoint::ModelConfig const& config,
                                Setting const& setting) {
  auto const backend = model::cpu_backend(layout);
  model::ParameterStore store(config, *backend, setting.store);
  Optimizer optimizer(store);
  for (int unit = 0; unit < store.units(); ++unit) {
    bool const trained = store.layout().trained(unit);
    model::FlatRange const range = trained ? store.owned(unit) : store.held(unit);
    at::Tensor const values = trained ? optimizer.master(unit) : store.held_weights(unit);
    // A value depends on its place in the whole buffer alone.
    at::Tensor const place = at::arange(range.begin, range.end, at::kFloat).mul_(0.37F).add_(static_cast<float>(unit));
    store.layout().for_each_piece(unit, range, [&](model::ParameterLayout::Piece const& piece) {
      values.narrow(0, piece.at, piece.count).copy_(place.narrow(0, piece.at, piece.count).sin());
    });
    values.mul_(0.3F);
  }
  optimizer.publish();
  StepEngine engine(store, 5, setting.recompute);
  auto const slopes = [](AnswerSums const& sums) {
    std::vector<double> gradients;
    for (double const logp : sums.logp) gradients.push_back(0.01 * logp);
    return gradients;
  };
  std::vector<double> norms;
  int const rank = layout.data().rank();
  for (int64_t step = 0; step < steps; ++step) {
    store.zero_grads();
    for (int64_t i = 0; i < micro_batches; ++i) {
      // The last rank has nothing to do in the second micro-batch.
      bool const idle = i == 1 && rank + 1 == layout.data().size() && rank > 0;
      engine.train(idle ? model::PackedBatch{}
                        : model::testing::packed({6 + 2 * rank, 10 - 2 * i, 4 + 2 * (step % 3)}, 29),
                   slopes);
    }
    store.finish_grads();
    norms.push_back(optimizer.grad_norm());
    optimizer.step({.number = step + 1, .learning_rate = 1e-2, .weight_decay = 0.1, .grad_scale = 0.5});
  }
  // Forward alone gathers too, idle ranks included.
  AnswerSums const last = engine.forward(rank == 0 ? model::testing::packed({8, 6}, 29) : model::PackedBatch{});
  norms.insert(norms.end(), last.logp.begin(), last.logp.end());
  std::vector<at::Tensor> left{at::tensor(norms, at::kDouble)};
  for (int unit = store.layout().first_trained(); unit < store.units(); ++unit) {
    model::FlatRange const shard = store.layout().shard(unit), owned = store.owned(unit);
    for (at::Tensor const& values : {optimizer.master(unit), optimizer.exp_avg(unit), optimizer.exp_avg_sq(unit)})
      left.push_back(values.narrow(0, shard.begin - owned.begin, shard.size()).clone());
  }
  return left;
}

void require_equal(std::vector<at::Tensor> const& found, std::vector<at::Tensor> const& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    INFO("tensor " << i);
    REQUIRE(at::isfinite(found[i]).all().item<bool>());
    REQUIRE(found[i].equal(expected[i]));
  }
}

std::vector<int> tensor_degrees(int ranks) {
  std::vector<int> degrees{1};
  if (ranks % 2 == 0) degrees.push_back(2);
  return degrees;
}

}  // namespace

TEST_CASE("every ZeRO stage ends with plain data parallelism's bits") {
  comm::Communicator const world = comm::Communicator::world();
  bool const tied = GENERATE(false, true);
  DType const weights = GENERATE(DType::fp32, DType::bf16);
  for (int const tensor : tensor_degrees(world.size())) {
    comm::ParallelLayout const layout(world, tensor);
    SequenceParallel const sequence = tensor > 1 ? SequenceParallel::on : SequenceParallel::off;
    auto const expected = trained(layout, config(tied), {.store = {.weights = weights, .sequence = sequence}});
    for (Zero const zero : {Zero::optimizer, Zero::gradients, Zero::parameters}) {
      INFO("tensor " << tensor << " of " << world.size() << ", stage " << static_cast<int>(zero));
      require_equal(trained(layout, config(tied), {.store = {.weights = weights, .zero = zero, .sequence = sequence}}),
                    expected);
    }
  }
}

TEST_CASE("every ZeRO stage ends with plain data parallelism's bits where an adapter is trained") {
  comm::Communicator const world = comm::Communicator::world();
  bool const tied = GENERATE(false, true);
  DType const weights = GENERATE(DType::fp32, DType::bf16);
  for (int const tensor : tensor_degrees(world.size())) {
    comm::ParallelLayout const layout(world, tensor);
    model::StoreOptions options{
        .weights = weights,
        .sequence = tensor > 1 ? SequenceParallel::on : SequenceParallel::off,
        .adapter = checkpoint::AdapterConfig{.rank = 3, .alpha = 6, .targets = checkpoint::adapter_targets()}};
    auto const expected = trained(layout, config(tied), {.store = options});
    for (Zero const zero : {Zero::optimizer, Zero::gradients, Zero::parameters}) {
      INFO("tensor " << tensor << " of " << world.size() << ", stage " << static_cast<int>(zero));
      options.zero = zero;
      for (Recompute const recompute : {Recompute::none, Recompute::block})
        require_equal(trained(layout, config(tied), {.store = options, .recompute = recompute}), expected);
    }
  }
}

TEST_CASE("recomputing, and reducing behind the next unit's backward, change no bit") {
  comm::Communicator const world = comm::Communicator::world();
  for (int const tensor : tensor_degrees(world.size())) {
    comm::ParallelLayout const layout(world, tensor);
    model::StoreOptions const plain{.sequence = tensor > 1 ? SequenceParallel::on : SequenceParallel::off};
    auto const expected = trained(layout, config(false), {.store = plain});
    for (Recompute const recompute : {Recompute::selective, Recompute::block})
      require_equal(trained(layout, config(false), {.store = plain, .recompute = recompute}), expected);
    for (Zero const zero : {Zero::none, Zero::gradients, Zero::parameters}) {
      model::StoreOptions overlapped = plain;
      overlapped.zero = zero;
      overlapped.grad_buffers = 2;
      require_equal(trained(layout, config(false), {.store = overlapped, .recompute = Recompute::block}), expected);
    }
  }
}

TEST_CASE("shards divide what a rank holds") {
  comm::Communicator const world = comm::Communicator::world();
  comm::ParallelLayout const layout(world, 1);
  auto const backend = model::cpu_backend(layout);
  int const ranks = world.size();
  for (int stage = 0; stage <= 3; ++stage) {
    model::ParameterStore const store(config(false), *backend, {.zero = static_cast<Zero>(stage)});
    for (int unit = 0; unit < store.units(); ++unit) {
      int64_t const whole = store.layout().elements(unit);
      CHECK(store.flat_weights(unit).numel() == (stage >= 3 ? whole / ranks : whole));
      CHECK(store.flat_grads(unit).numel() == (stage >= 2 ? whole / ranks : whole));
      CHECK(store.owned(unit).size() == (stage >= 1 ? whole / ranks : whole));
    }
    model::ParameterStore const frozen(
        config(false), *backend,
        {.zero = static_cast<Zero>(stage),
         .adapter = checkpoint::AdapterConfig{.rank = 2, .alpha = 2, .targets = {"q_proj"}}});
    for (int unit = 0; unit < frozen.units(); ++unit) {
      int64_t const whole = frozen.layout().elements(unit);
      CHECK(frozen.flat_weights(unit).numel() == (stage >= 3 ? whole / ranks : whole));
      CHECK(frozen.flat_grads(unit).defined() == (unit >= store.units()));
    }
  }
}
