#include <refrain/train/plan.hpp>

#include <refrain/base/random.hpp>

#include <algorithm>
#include <numeric>
#include <string>

namespace refrain::train {
namespace {

int32_t sequence_tokens(int32_t prompt, int32_t answer) noexcept { return std::max(prompt + answer - 1, 0); }

/// Cuts a rank's pairs, longest first, into micro-batches: each pair goes into the first that has room.
std::vector<MicroBatch> cut(std::vector<int64_t> const& pairs, PairLengths const& lengths,
                            BatchOptions const& options) {
  std::vector<MicroBatch> result;
  std::vector<int64_t> filled;
  for (int64_t const pair : pairs) {
    int64_t const tokens = pair_tokens(lengths, pair, options.answers);
    std::size_t place = 0;
    while (place < result.size() && filled[place] + tokens > options.micro_batch_tokens) ++place;
    if (place == result.size()) {
      result.emplace_back();
      filled.push_back(0);
    }
    result[place].push_back(pair);
    filled[place] += tokens;
  }
  return result;
}

}  // namespace

int64_t steps_per_epoch(int64_t pairs, BatchOptions const& options) noexcept {
  return (pairs + options.global_batch_pairs - 1) / options.global_batch_pairs;
}

int32_t scored_tokens(int32_t prompt, int32_t answer) noexcept { return prompt > 0 ? answer : std::max(answer - 1, 0); }

int64_t pair_tokens(PairLengths const& lengths, int64_t pair, Answers answers) noexcept {
  auto const i = static_cast<std::size_t>(pair);
  int64_t const chosen = sequence_tokens(lengths.prompt[i], lengths.chosen[i]);
  return answers == Answers::chosen ? chosen : chosen + sequence_tokens(lengths.prompt[i], lengths.rejected[i]);
}

StepPlan plan_pairs(PairLengths const& lengths, std::vector<int64_t> const& pairs, BatchOptions const& options,
                    int data_size) {
  StepPlan plan;
  plan.pairs = static_cast<int64_t>(pairs.size());
  for (int64_t const pair : pairs) {
    auto const i = static_cast<std::size_t>(pair);
    plan.chosen_tokens += scored_tokens(lengths.prompt[i], lengths.chosen[i]);
  }

  // Longest first to the rank with the fewest tokens so far; ties by place and rank, so that every rank finds the same.
  std::vector<int64_t> sorted = pairs;
  std::stable_sort(sorted.begin(), sorted.end(), [&](int64_t a, int64_t b) {
    return pair_tokens(lengths, a, options.answers) > pair_tokens(lengths, b, options.answers);
  });
  std::vector<std::vector<int64_t>> mine(static_cast<std::size_t>(data_size));
  std::vector<int64_t> load(mine.size(), 0);
  for (int64_t const pair : sorted) {
    auto const rank = static_cast<std::size_t>(std::min_element(load.begin(), load.end()) - load.begin());
    mine[rank].push_back(pair);
    load[rank] += pair_tokens(lengths, pair, options.answers);
  }

  std::size_t most = 0;
  for (auto const& pairs_of_rank : mine) {
    plan.ranks.push_back(cut(pairs_of_rank, lengths, options));
    most = std::max(most, plan.ranks.back().size());
  }
  for (auto& micro_batches : plan.ranks) micro_batches.resize(most);
  return plan;
}

StepPlan plan_step(PairLengths const& lengths, uint64_t seed, int64_t step, BatchOptions const& options,
                   int data_size) {
  int64_t const per_epoch = steps_per_epoch(lengths.size(), options);
  int64_t const epoch = step / per_epoch, within = step % per_epoch;
  std::vector<int64_t> order;
  if (options.shuffle) {
    order = permutation(lengths.size(), CounterRandom(seed, "shuffle/" + std::to_string(epoch)));
  } else {
    order.resize(static_cast<std::size_t>(lengths.size()));
    std::iota(order.begin(), order.end(), 0);
  }
  int64_t const begin = within * options.global_batch_pairs;
  int64_t const end = std::min(begin + options.global_batch_pairs, lengths.size());
  StepPlan plan = plan_pairs(lengths, {order.begin() + begin, order.begin() + end}, options, data_size);
  plan.epoch = static_cast<double>(epoch) + static_cast<double>(within + 1) / static_cast<double>(per_epoch);
  return plan;
}

}  // namespace refrain::train
