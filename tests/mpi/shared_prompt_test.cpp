// A pair's prompt computed once for both answers gives what two copies of it give: log-probabilities and all gradients.
#include "small_model.hpp"
#include "small_pairs.hpp"

#include <refrain/train/batch.hpp>
#include <refrain/train/step_engine.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::train;
using model::testing::deviation;
using refrain::train::testing::pairs_of;

namespace {

struct Result {
  AnswerSums sums;
  std::vector<at::Tensor> grads;  // a unit each
};

Result step(model::ParameterStore& store, h5::Pairs const& pairs, Answers answers) {
  MicroBatch all(pairs.row_id.begin(), pairs.row_id.end());
  auto const batch = pack(pairs, all, answers, store.backend().tensor().size());
  store.zero_grads();
  StepEngine engine(store, 7);
  Result result;
  result.sums = engine.train(batch, [](AnswerSums const& sums) {
    std::vector<double> slopes(sums.logp.size());
    for (std::size_t i = 0; i < slopes.size(); ++i) slopes[i] = 0.3 * static_cast<double>(i % 5) - 0.5;
    return slopes;
  });
  store.finish_grads();
  for (int unit = 0; unit < store.units(); ++unit) result.grads.push_back(store.flat_grads(unit).clone());
  return result;
}

}  // namespace

TEST_CASE("a shared prompt gives the log-probabilities and gradients of two copies") {
  bool const grouped = GENERATE(false, true);
  checkpoint::ModelConfig config = model::testing::small_config();
  config.num_attention_heads = 8;
  config.num_key_value_heads = grouped ? 4 : 8;
  comm::ParallelLayout const layout(comm::Communicator::world(), comm::Communicator::world().size());
  auto const backend = model::cpu_backend(layout);
  auto const sequence = GENERATE(model::SequenceParallel::off, model::SequenceParallel::on);
  if (sequence == model::SequenceParallel::on && layout.tensor().size() == 1) return;
  model::ParameterStore store(config, *backend, {.sequence = sequence});
  for (model::ParamId id = 0; id < static_cast<model::ParamId>(store.specs().size()); ++id) {
    bool const sliced = store.specs()[static_cast<std::size_t>(id)].info.split != checkpoint::Split::none;
    at::manual_seed(static_cast<uint64_t>(100 * id + (sliced ? layout.tensor().rank() : 0)));
    at::Tensor const weight = store.weight(id);
    weight.copy_(at::randn(weight.sizes()).mul_(0.3).add_(weight.dim() == 1 ? 1. : 0.));
  }
  // Answers of one token, a prompt of one token, no prompt at all, and nothing but one token to predict.
  auto const pairs = pairs_of({{9, 4, 6}, {1, 3, 1}, {5, 1, 1}, {0, 3, 4}, {0, 1, 1}, {12, 1, 8}}, 23);
  Result const apart = step(store, pairs, Answers::both_apart), shared = step(store, pairs, Answers::both);
  REQUIRE(shared.sums.tokens == apart.sums.tokens);
  CHECK(shared.sums.likeliest == apart.sums.likeliest);
  auto const tensor = [](std::vector<double> const& values) { return at::tensor(values, at::kDouble); };
  CHECK(deviation(tensor(shared.sums.logp), tensor(apart.sums.logp)) < 1e-5);
  CHECK(deviation(tensor(shared.sums.logit), tensor(apart.sums.logit)) < 1e-5);
  CHECK(deviation(tensor(shared.sums.entropy), tensor(apart.sums.entropy)) < 1e-5);
  for (auto const& spec : store.specs()) {
    INFO(spec.info.name);
    auto const part = [&](Result const& result) {
      return result.grads[static_cast<std::size_t>(spec.info.unit)].narrow(0, spec.offset, spec.local_count());
    };
    CHECK(deviation(part(shared), part(apart)) < 1e-5);
  }
}
