#include <refrain/inference/sampling.hpp>

#include <refrain/base/random.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <vector>

using namespace refrain;
using namespace refrain::inference;

namespace {

std::vector<float> const logits{1.5F, -0.5F, 2.25F, 0.F, 2.25F, -3.F, 1.F, 0.5F};

std::vector<int> counted(Sampling const& sampling, int draws) {
  CounterRandom const random(9, "test");
  std::vector<int> counts(logits.size());
  for (int i = 0; i < draws; ++i)
    ++counts[static_cast<std::size_t>(next_token(logits, sampling, random.uniform(static_cast<uint64_t>(i))))];
  return counts;
}

}  // namespace

TEST_CASE("temperature 0 takes the likeliest token, the lowest of equals") {
  for (double drawn : {0., 0.5, 0.999}) CHECK(next_token(logits, {}, drawn) == 2);
}

TEST_CASE("draws follow the softmax at a temperature") {
  constexpr int draws = 200000;
  double const temperature = GENERATE(0.5, 1., 2.);
  auto const counts = counted({.temperature = temperature}, draws);
  double total = 0, statistic = 0;
  for (float const logit : logits) total += std::exp(logit / temperature);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    double const expected = draws * std::exp(logits[i] / temperature) / total;
    statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  CHECK(statistic < 24.3);  // chi-square with 7 degrees of freedom, p = 0.001
}

TEST_CASE("top-k and top-p leave out what is unlikely, as transformers does") {
  auto const kept = [](Sampling const& sampling) {
    std::vector<int> which;
    auto const counts = counted(sampling, 20000);
    for (std::size_t i = 0; i < counts.size(); ++i)
      if (counts[i] > 0) which.push_back(static_cast<int>(i));
    return which;
  };
  CHECK(kept({.temperature = 1, .top_k = 1}) == std::vector<int>{2});
  CHECK(kept({.temperature = 1, .top_k = 3}) == std::vector<int>{0, 2, 4});
  CHECK(kept({.temperature = 1, .top_p = 1e-9}) == std::vector<int>{2});
  // Shares: 0.322 each of 2 and 4, 0.152 of 0.
  CHECK(kept({.temperature = 1, .top_p = 0.6}) == std::vector<int>{2, 4});
  CHECK(kept({.temperature = 1, .top_p = 0.7}) == std::vector<int>{0, 2, 4});
  CHECK(kept({.temperature = 1, .top_k = 3, .top_p = 0.8}) == std::vector<int>{2, 4});  // of what top-k kept
}
