// Micro-batches of even cost, at the size of real sets of pairs.
#include <refrain/base/random.hpp>
#include <refrain/train/packing.hpp>
#include <refrain/train/plan.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <ctime>
#include <cmath>

using namespace refrain;
using namespace refrain::train;

namespace {

/// Lengths as RefusEU's: nine of ten prompts of 60 to 250 tokens and answers of 20 to 200, log-normal, and one of fifty
/// up to what --max-length 1024 leaves.
PairLengths refuseu_like(int64_t pairs) {
  CounterRandom const random(11, "lengths");
  uint64_t at = 0;
  auto const draw = [&](double low, double high, int32_t most) {
    if (random.uniform(at++) < 0.02)
      return static_cast<int32_t>(high + random.uniform(at++) * std::max(0.0, most - high));
    double const middle = std::log(std::sqrt(low * high)), width = std::log(high / low) / 2 / 1.645;
    return std::clamp(static_cast<int32_t>(std::exp(middle + width * random.normal(at++))), 1, most);
  };
  PairLengths lengths;
  for (int64_t i = 0; i < pairs; ++i) {
    int32_t const prompt = draw(60, 250, 800);
    lengths.prompt.push_back(prompt);
    lengths.chosen.push_back(draw(20, 200, 1024 - prompt));
    lengths.rejected.push_back(draw(20, 200, 1024 - prompt));
  }
  return lengths;
}

/// Llama-3-8B.
WorkCost cost() {
  return work_cost({.vocab_size = 128256,
                    .hidden_size = 4096,
                    .intermediate_size = 14336,
                    .num_hidden_layers = 32,
                    .num_attention_heads = 32,
                    .num_key_value_heads = 8,
                    .head_dim = 128,
                    .max_position_embeddings = 8192,
                    .rms_norm_eps = 1e-5,
                    .rope_theta = 500000,
                    .initializer_range = 0.02,
                    .rope_scaling = {},
                    .tie_word_embeddings = false,
                    .dtype = DType::bf16});
}

std::vector<PackingItem> items_of(std::vector<int64_t> const& tokens) {
  std::vector<PackingItem> items;
  for (int64_t const count : tokens) items.push_back({count, static_cast<double>(count)});
  return items;
}

}  // namespace

TEST_CASE("no rank has a micro-batch much dearer than the others' at the same time") {
  auto const lengths = refuseu_like(10000);
  auto const longest = [&](std::vector<int32_t> const& part) { return *std::max_element(part.begin(), part.end()); };
  REQUIRE(longest(lengths.prompt) > 700);
  REQUIRE(longest(lengths.chosen) > 700);
  Answers const answers = GENERATE(Answers::both, Answers::both_apart);
  for (int64_t const batch : {64, 256, 10000}) {
    for (int const ranks : {2, 4, 8}) {
      BatchOptions const options{.global_batch_pairs = batch, .answers = answers, .cost = cost()};
      // The last step of a pass has only 16 pairs: some of its ranks wait.
      Balance const whole = balance_of(lengths, 3, 1000, options, ranks);
      Balance const full = balance_of(lengths, 3, 10000 / batch, options, ranks);
      INFO(batch << " pairs a step, " << ranks << " ranks: worst " << full.worst << ", with the last step "
                 << whole.worst << ", waiting " << whole.waiting);
      CHECK(full.worst <= 1.03);
      CHECK(whole.waiting <= 1.005);
      CHECK(whole.most_tokens <= options.micro_batch_tokens);
    }
  }
}

TEST_CASE("micro-batches of a step are about equally full, and no more than needed") {
  auto const lengths = refuseu_like(10000);
  BatchOptions const options{.global_batch_pairs = 256, .cost = cost()};
  for (int64_t step = 0; step < 39; ++step) {
    StepPlan const plan = plan_step(lengths, 3, step, options, 4);
    std::vector<int64_t> filled;
    for (auto const& rank : plan.ranks)
      for (auto const& micro_batch : rank) {
        filled.push_back(0);
        for (int64_t const pair : micro_batch) filled.back() += pair_tokens(lengths, pair, options.answers);
      }
    auto const [least, most] = std::minmax_element(filled.begin(), filled.end());
    CHECK(static_cast<double>(*least) >= 0.9 * static_cast<double>(*most));
    int64_t const needed = (plan.tokens + 4 * options.micro_batch_tokens - 1) / (4 * options.micro_batch_tokens);
    CHECK(static_cast<int64_t>(plan.ranks.front().size()) == needed);
  }
}

TEST_CASE("exchanges mend what dearest-first leaves uneven") {
  // Dearest-first ends with 8 5 4 against 7 6; 8 7 against 6 5 4 is even.
  std::vector<int64_t> const tokens{8, 7, 6, 5, 4};
  auto const plan = pack_evenly(items_of(tokens), 100, 2);
  std::vector<int64_t> sums;
  for (auto const& rank : plan) {
    REQUIRE(rank.size() == 1);
    sums.push_back(0);
    for (int64_t const item : rank[0]) sums.back() += tokens[static_cast<std::size_t>(item)];
  }
  CHECK(sums == std::vector<int64_t>{15, 15});
}

TEST_CASE("items that are longer than the room stand alone, beside their like") {
  auto const plan = pack_evenly(items_of({3, 50, 4, 60, 5, 6}), 10, 2);
  REQUIRE(plan.size() == 2);
  REQUIRE(plan[0].size() == 2);
  CHECK(plan[0][0] == Bin{3});
  CHECK(plan[1][0] == Bin{1});
  CHECK(plan[0][1].size() + plan[1][1].size() == 4);
}

TEST_CASE("planning is quick, and the same every time") {
  auto const lengths = refuseu_like(10000);
  BatchOptions options{.global_batch_pairs = 64, .cost = cost()};
  auto const seconds = [&](int64_t room) {
    options.micro_batch_tokens = room;
    std::clock_t const begin = std::clock();  // this process's, which other load does not lengthen
    StepPlan const plan = plan_step(lengths, 3, 1, options, 8);
    std::clock_t const end = std::clock();
    CHECK(plan.ranks == plan_step(lengths, 3, 1, options, 8).ranks);
    return static_cast<double>(end - begin) / CLOCKS_PER_SEC;
  };
  // Far above what it takes.
  CHECK(seconds(8192) < 0.1);
  options.global_batch_pairs = 4096;
  CHECK(seconds(8192) < 0.5);
  CHECK(seconds(2048) < 0.5);
}
