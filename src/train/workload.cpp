#include <refrain/train/workload.hpp>

#include <refrain/base/random.hpp>

#include <algorithm>
#include <functional>
#include <numeric>

namespace refrain::train {
namespace {

constexpr int64_t steps_looked_at = 64;

PairWork larger(PairWork const& a, PairWork const& b) {
  return {std::max(a.tokens, b.tokens), std::max(a.seen, b.seen), std::max(a.scored, b.scored)};
}

/// Tokens of the largest micro-batch that there can be: a pair that exceeds the limit runs alone, and no step has more
/// than its pairs.
int64_t most_tokens(PairLengths const& lengths, BatchOptions const& batches) {
  std::vector<int64_t> tokens;
  for (int64_t pair = 0; pair < lengths.size(); ++pair) tokens.push_back(pair_tokens(lengths, pair, batches.answers));
  std::sort(tokens.begin(), tokens.end(), std::greater());
  if (static_cast<int64_t>(tokens.size()) > batches.global_batch_pairs)
    tokens.resize(static_cast<std::size_t>(batches.global_batch_pairs));
  int64_t const whole = std::accumulate(tokens.begin(), tokens.end(), int64_t{0});
  return std::min(whole, std::max(batches.micro_batch_tokens, tokens.front()));
}

}  // namespace

PairLengths Workload::like_refuseu(int64_t pairs) {
  PairLengths lengths;
  CounterRandom const random(42, "lengths of a plan");
  auto const between = [&](int64_t number, int32_t least, int32_t most) {
    return least +
           static_cast<int32_t>(random.bits(static_cast<uint64_t>(number)) % static_cast<uint64_t>(most - least + 1));
  };
  for (int64_t pair = 0; pair < pairs; ++pair) {
    lengths.prompt.push_back(between(3 * pair, 60, 250));
    lengths.chosen.push_back(between(3 * pair + 1, 20, 200));
    lengths.rejected.push_back(between(3 * pair + 2, 20, 200));
  }
  return lengths;
}

std::vector<std::vector<PairWork>> Workload::step_shapes(int64_t step, int data_size) const {
  StepPlan const plan = plan_step(lengths, seed, step, batches, data_size);
  std::vector<std::vector<PairWork>> shapes;
  for (auto const& micro_batches : plan.ranks) {
    shapes.emplace_back();
    for (MicroBatch const& pairs : micro_batches) shapes.back().push_back(work_of(lengths, pairs, batches));
  }
  return shapes;
}

std::vector<int64_t> Workload::sample(int64_t most) const {
  std::vector<int64_t> chosen;
  int64_t const count = std::min(most, steps);
  for (int64_t i = 0; i < count; ++i) chosen.push_back(i * steps / count);
  return chosen;
}

PairWork Workload::longest(int data_size) const {
  PairWork most;
  for (int64_t const step : sample(std::min(steps_looked_at, steps)))
    for (auto const& rank : step_shapes(step, data_size))
      for (PairWork const& batch : rank) most = larger(most, batch);
  if (steps > steps_looked_at) {
    int64_t const tokens = most_tokens(lengths, batches);
    double const more = static_cast<double>(tokens) / static_cast<double>(std::max<int64_t>(1, most.tokens));
    if (more > 1) most.scored = static_cast<int64_t>(static_cast<double>(most.scored) * more);
    most.tokens = std::max(most.tokens, tokens);
  }
  return most;
}

}  // namespace refrain::train
