// The traffic model gives, to the byte, what the collectives of a training step count.
#include "small_model.hpp"

#include <refrain/train/optimizer.hpp>
#include <refrain/train/step_engine.hpp>
#include <refrain/train/traffic_model.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::train;
using model::SequenceParallel;
using model::Zero;

namespace {

constexpr int64_t vocabulary = 29;

// Small all-reduces are sent whole, long ones in parts: sizes on both sides of that limit.
checkpoint::ModelConfig config(int64_t hidden, bool tied) {
  checkpoint::ModelConfig config = model::testing::small_config();
  config.vocab_size = vocabulary;
  config.hidden_size = hidden;
  config.num_hidden_layers = 3;
  config.num_key_value_heads = 4;
  config.tie_word_embeddings = tied;
  return config;
}

PairWork work_of(model::PackedBatch const& batch) {
  return batch.answers == 0 ? PairWork{}
                            : PairWork{.tokens = batch.tokens_T.size(0), .scored = batch.head_rows_N.size(0)};
}

// One step of two micro-batches, the second of which is idle on the last data rank.
void check_step(comm::ParallelLayout const& layout, checkpoint::ModelConfig const& config, RunLayout const& run,
                Formats const& formats) {
  INFO(run.text() << ", hidden " << config.hidden_size << ", rows shared " << (run.sequence == SequenceParallel::on)
                  << ", " << to_string(formats.weights));
  auto const backend = model::cpu_backend(layout);
  model::ParameterStore store(config, *backend,
                              {.weights = formats.weights,
                               .grads = formats.grads,
                               .zero = run.zero,
                               .sequence = run.sequence,
                               .adapter = formats.adapter});
  Optimizer optimizer(store);
  optimizer.publish();
  StepEngine engine(store, formats.chunk_rows(config, run.tensor), run.recompute);
  SentBytes const before = sent_so_far(*backend);
  std::vector<PairWork> shapes;
  store.zero_grads();
  int const rank = layout.data().rank();
  for (int64_t i = 0; i < 2; ++i) {
    bool const idle = i == 1 && rank > 0 && rank + 1 == layout.data().size();
    model::PackedBatch const batch =
        idle ? model::PackedBatch{} : model::testing::packed({40 + 4 * rank, 12 - 4 * i, 20}, vocabulary);
    shapes.push_back(work_of(batch));
    engine.train(batch, [](AnswerSums const& sums) { return std::vector<double>(sums.logp.size(), 0.1); });
  }
  store.finish_grads();
  optimizer.grad_norm();
  optimizer.step({.number = 1, .learning_rate = 1e-3});
  SentBytes const counted = sent_so_far(*backend) - before;
  SentBytes const planned = TrafficModel(config, run, formats, layout.tensor().rank(), rank).step(shapes);
  CHECK(counted.parameters == planned.parameters);
  CHECK(counted.gradients == planned.gradients);
  CHECK(counted.activations == planned.activations);
  if (layout.world().size() > 1) CHECK(counted.total() > 0);
}

}  // namespace

TEST_CASE("counted bytes of a step are those of the model, at every layout") {
  comm::Communicator const world = comm::Communicator::world();
  for (int const tensor : {1, 2, 4}) {
    if (world.size() % tensor != 0) continue;
    comm::ParallelLayout const layout(world, tensor);
    for (Zero const zero : {Zero::none, Zero::optimizer, Zero::gradients, Zero::parameters})
      for (auto const sequence : {SequenceParallel::off, SequenceParallel::on})
        for (Recompute const recompute : {Recompute::none, Recompute::selective, Recompute::block})
          for (DType const weights : {DType::fp32, DType::bf16}) {
            bool const tied = recompute == Recompute::block;
            Formats const formats{.weights = weights, .grads = tied ? weights : DType::fp32, .given_chunk_rows = 25};
            RunLayout const run{.tensor = tensor,
                                .data = layout.data().size(),
                                .zero = zero,
                                .sequence = sequence,
                                .recompute = recompute};
            for (int64_t const hidden : {20, 260}) check_step(layout, config(hidden, tied), run, formats);
          }
  }
}

TEST_CASE("counted bytes are those of the model where an adapter is trained") {
  comm::Communicator const world = comm::Communicator::world();
  std::vector<std::vector<std::string>> const targets{
      checkpoint::adapter_targets(), {"q_proj"}, {"o_proj", "down_proj"}, {"up_proj"}};
  for (int const tensor : {1, 2, 4}) {
    if (world.size() % tensor != 0) continue;
    comm::ParallelLayout const layout(world, tensor);
    for (Zero const zero : {Zero::none, Zero::optimizer, Zero::gradients, Zero::parameters})
      for (auto const sequence : {SequenceParallel::off, SequenceParallel::on})
        for (Recompute const recompute : {Recompute::none, Recompute::selective, Recompute::block})
          for (auto const& names : targets) {
            Formats const formats{.given_chunk_rows = 25,
                                  .adapter = checkpoint::AdapterConfig{.rank = 3, .alpha = 6, .targets = names}};
            RunLayout const run{.tensor = tensor,
                                .data = layout.data().size(),
                                .zero = zero,
                                .sequence = sequence,
                                .recompute = recompute};
            check_step(layout, config(20, recompute == Recompute::block), run, formats);
          }
  }
}
