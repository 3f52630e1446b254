#include <refrain/train/plan.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <numeric>
#include <set>

using namespace refrain::train;

namespace {

PairLengths lengths_for(int pairs) {
  PairLengths lengths;
  for (int i = 0; i < pairs; ++i) {
    lengths.prompt.push_back(5 + (i * 37) % 90);
    lengths.chosen.push_back(1 + (i * 53) % 70);
    lengths.rejected.push_back(2 + (i * 17) % 50);
  }
  return lengths;
}

std::vector<int64_t> pairs_of(StepPlan const& plan) {
  std::vector<int64_t> all;
  for (auto const& rank : plan.ranks)
    for (auto const& micro_batch : rank) all.insert(all.end(), micro_batch.begin(), micro_batch.end());
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

TEST_CASE("a step's pairs and denominators do not depend on the number of data ranks") {
  auto const lengths = lengths_for(100);
  BatchOptions const options{.global_batch_pairs = 16, .micro_batch_tokens = 400};
  for (int64_t step = 0; step < 14; ++step) {
    auto const one = plan_step(lengths, 7, step, options, 1);
    for (int const ranks : {2, 3, 8, 20}) {
      auto const many = plan_step(lengths, 7, step, options, ranks);
      REQUIRE(pairs_of(many) == pairs_of(one));
      REQUIRE(many.pairs == one.pairs);
      REQUIRE(many.chosen_tokens == one.chosen_tokens);
      REQUIRE(many.epoch == one.epoch);
      REQUIRE(many.ranks.size() == static_cast<std::size_t>(ranks));
      for (auto const& rank : many.ranks) REQUIRE(rank.size() == many.ranks.front().size());
    }
  }
}

TEST_CASE("an epoch meets every pair once, and its last step is what is left") {
  auto const lengths = lengths_for(37);
  BatchOptions const options{.global_batch_pairs = 8, .micro_batch_tokens = 1000};
  REQUIRE(steps_per_epoch(lengths.size(), options) == 5);
  std::vector<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<int64_t> seen, sizes;
    for (int64_t step = 0; step < 5; ++step) {
      auto const plan = plan_step(lengths, 42, 5 * epoch + step, options, 2);
      auto const pairs = pairs_of(plan);
      seen.insert(seen.end(), pairs.begin(), pairs.end());
      sizes.push_back(plan.pairs);
      REQUIRE(plan.epoch == Approx(static_cast<double>(epoch) + static_cast<double>(step + 1) / 5));
    }
    REQUIRE(sizes == std::vector<int64_t>{8, 8, 8, 8, 5});
    REQUIRE(std::set<int64_t>(seen.begin(), seen.end()).size() == 37);
    orders.push_back(seen);
  }
  REQUIRE(orders[0] != orders[1]);
}

TEST_CASE("without shuffling pairs come in file order") {
  auto const plan =
      plan_step(lengths_for(20), 1, 1, {.global_batch_pairs = 6, .micro_batch_tokens = 100, .shuffle = false}, 2);
  REQUIRE(pairs_of(plan) == std::vector<int64_t>{6, 7, 8, 9, 10, 11});
}

TEST_CASE("micro-batches keep to their tokens, but for a pair that is longer by itself") {
  auto const lengths = lengths_for(64);
  BatchOptions const options{.global_batch_pairs = 64, .micro_batch_tokens = 250};
  auto const plan = plan_step(lengths, 3, 0, options, 4);
  for (auto const& rank : plan.ranks)
    for (auto const& micro_batch : rank) {
      int64_t tokens = 0;
      for (int64_t const pair : micro_batch) tokens += pair_tokens(lengths, pair, options.answers);
      REQUIRE((tokens <= 250 || micro_batch.size() == 1));
    }
}

TEST_CASE("ranks get about the same number of tokens") {
  auto const lengths = lengths_for(64);
  auto const plan = plan_step(lengths, 3, 0, {.global_batch_pairs = 64, .micro_batch_tokens = 4000}, 4);
  std::vector<int64_t> load;
  for (auto const& rank : plan.ranks) {
    load.push_back(0);
    for (auto const& micro_batch : rank)
      for (int64_t const pair : micro_batch) load.back() += pair_tokens(lengths, pair, Answers::both);
  }
  auto const [least, most] = std::minmax_element(load.begin(), load.end());
  REQUIRE(static_cast<double>(*most - *least) < 0.05 * static_cast<double>(*most));
}

TEST_CASE("more ranks than pairs leave some without work, in as many micro-batches") {
  auto const plan = plan_step(lengths_for(3), 3, 0, {.global_batch_pairs = 8, .micro_batch_tokens = 10}, 5);
  REQUIRE(plan.pairs == 3);
  REQUIRE(pairs_of(plan).size() == 3);
  for (auto const& rank : plan.ranks) REQUIRE(rank.size() == 1);
}

TEST_CASE("an answer's last token is not fed, and an empty prompt leaves its first one unscored") {
  PairLengths const lengths{.prompt = {10, 0}, .chosen = {4, 4}, .rejected = {6, 1}};
  REQUIRE(pair_tokens(lengths, 0, Answers::both_apart) == 13 + 15);
  REQUIRE(pair_tokens(lengths, 0, Answers::both) == 13 + 5);
  REQUIRE(pair_tokens(lengths, 0, Answers::chosen) == 13);
  REQUIRE(pair_tokens(lengths, 1, Answers::both) == 3 + 0);
  REQUIRE(pair_tokens(lengths, 1, Answers::both_apart) == 3 + 0);
  REQUIRE(scored_tokens(10, 4) == 4);
  REQUIRE(scored_tokens(0, 4) == 3);
}
