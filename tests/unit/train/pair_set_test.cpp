#include "small_model.hpp"
#include "small_pairs.hpp"

#include <refrain/train/batch.hpp>
#include <refrain/train/pair_set.hpp>

#include <ATen/Parallel.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>

using namespace refrain;
using namespace refrain::train;
using model::testing::deviation;

namespace {

PairSet small_set() {
  PairSet set;
  set.pairs = testing::pairs_of(
      {{9, 4, 6}, {1, 3, 1}, {5, 1, 1}, {0, 3, 4}, {12, 9, 8}, {7, 2, 11}, {3, 8, 2}, {6, 6, 6}, {0, 1, 1}}, 23);
  set.lengths = lengths_of(set.pairs);
  set.reference = {std::vector<double>(9, -20.0), std::vector<double>(9, -21.0)};
  return set;
}

struct Result {
  Sums sums;
  std::vector<at::Tensor> grads;
  std::size_t micro_batches = 0;
};

Result step(model::testing::OneRank& model, Options const& options, int64_t micro_batch_tokens) {
  at::set_num_threads(1);  // these tensors are too small to share
  PairSet const set = small_set();
  StepPlan const plan = plan_all(set, {.micro_batch_tokens = micro_batch_tokens, .answers = options.answers()}, 1);
  model.store.zero_grads();
  StepEngine engine(model.store, 5);
  Result result{.sums = PairPass(options, engine, model.layout).train(set, plan, [] {}),
                .grads = {},
                .micro_batches = plan.ranks[0].size()};
  model.store.finish_grads();
  for (int unit = 0; unit < model.store.units(); ++unit) result.grads.push_back(model.store.flat_grads(unit).clone());
  return result;
}

void check_same(Result const& found, Result const& expected, double allowed) {
  auto const close = [&](double Sums::* member) {
    CHECK(found.sums.*member == Approx(expected.sums.*member).epsilon(allowed).margin(allowed));
  };
  for (auto const member :
       {&Sums::loss, &Sums::pairs, &Sums::reward_chosen, &Sums::reward_rejected, &Sums::reward_accuracy,
        &Sums::logp_chosen, &Sums::logp_rejected, &Sums::logit_chosen, &Sums::logit_rejected, &Sums::entropy,
        &Sums::tokens_chosen, &Sums::tokens_rejected, &Sums::likeliest_chosen, &Sums::sequence_tokens})
    close(member);
  for (std::size_t unit = 0; unit < found.grads.size(); ++unit)
    CHECK(deviation(found.grads[unit], expected.grads[unit]) < allowed);
}

}  // namespace

TEST_CASE("a step's sums and gradients do not depend on the packing") {
  model::testing::OneRank model;
  Options options;
  options.loss = GENERATE(Loss::sigmoid, Loss::ipo, Loss::sft);
  if (options.loss == Loss::sigmoid) options.sft_weight = 0.5;
  Result const whole = step(model, options, 1000);
  REQUIRE(whole.micro_batches == 1);
  std::vector<std::size_t> numbers;
  for (int64_t const tokens : {1, 20, 35, 70}) {
    Result const packed = step(model, options, tokens);
    numbers.push_back(packed.micro_batches);
    check_same(packed, whole, 1e-6);
  }
  REQUIRE(std::is_sorted(numbers.rbegin(), numbers.rend()));
  REQUIRE(numbers.front() == 9);
  REQUIRE(numbers.back() < 4);
}

TEST_CASE("a step's sums and gradients do not depend on whether prompts are shared") {
  model::testing::OneRank model;
  Options options;
  options.loss = GENERATE(Loss::sigmoid, Loss::ipo, Loss::hinge, Loss::robust);
  if (options.loss == Loss::robust) options.label_smoothing = 0.2;
  options.share_prompt = false;
  Result const apart = step(model, options, 60);
  options.share_prompt = true;
  check_same(step(model, options, 60), apart, 1e-5);
  REQUIRE(apart.sums.sequence_tokens == 2 * 43 + 37 + 40);
}

TEST_CASE("answers of the same tokens are equally likely, to the last bit") {
  model::testing::OneRank model;
  Options const options;
  PairSet set = small_set();
  for (std::size_t i = 0; i < 9; ++i) {
    set.pairs.rejected_begin[i] = set.pairs.chosen_begin[i];
    set.pairs.rejected_length[i] = set.pairs.chosen_length[i];
    set.reference.rejected[i] = std::nextafter(set.reference.chosen[i], -100.0);
  }
  set.lengths = lengths_of(set.pairs);
  StepEngine engine(model.store, 5);
  PairPass pass(options, engine, model.layout);
  model.store.zero_grads();
  Sums const sums = pass.train(set, plan_all(set, {}, 1), [] {});
  model.store.finish_grads();
  CHECK(sums.reward_accuracy == 0);
  CHECK(sums.reward_margin == 0);
  CHECK(sums.token_logp_accuracy == 0);
  for (int unit = 0; unit < model.store.units(); ++unit)
    CHECK(model.store.flat_grads(unit).abs().max().item<double>() == 0);
}
