#include <refrain/train/plan.hpp>

#include <refrain/base/random.hpp>
#include <refrain/train/packing.hpp>

#include <algorithm>
#include <numeric>
#include <string>

namespace refrain::train {
namespace {

/// The pairs in the order in which an epoch takes them.
std::vector<int64_t> epoch_order(int64_t pairs, uint64_t seed, int64_t epoch, bool shuffle) {
  if (shuffle) return permutation(pairs, CounterRandom(seed, "shuffle/" + std::to_string(epoch)));
  std::vector<int64_t> order(static_cast<std::size_t>(pairs));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

/// The `within`-th step's part of an epoch.
std::vector<int64_t> part_of(std::vector<int64_t> const& order, int64_t within, BatchOptions const& options) {
  int64_t const begin = within * options.global_batch_pairs;
  int64_t const end = std::min(begin + options.global_batch_pairs, static_cast<int64_t>(order.size()));
  return {order.begin() + begin, order.begin() + end};
}

double cost_of(MicroBatch const& micro_batch, PairLengths const& lengths, BatchOptions const& options) {
  double cost = 0;
  for (int64_t const pair : micro_batch) cost += options.cost.of(pair_work(lengths, pair, options.answers));
  return cost;
}

}  // namespace

int64_t steps_per_epoch(int64_t pairs, BatchOptions const& options) noexcept {
  return (pairs + options.global_batch_pairs - 1) / options.global_batch_pairs;
}

StepPlan plan_pairs(PairLengths const& lengths, std::vector<int64_t> const& pairs, BatchOptions const& options,
                    int data_size) {
  StepPlan plan;
  plan.pairs = static_cast<int64_t>(pairs.size());
  std::vector<PackingItem> items;
  for (int64_t const pair : pairs) {
    auto const i = static_cast<std::size_t>(pair);
    plan.chosen_tokens += scored_tokens(lengths.prompt[i], lengths.chosen[i]);
    PairWork const work = pair_work(lengths, pair, options.answers);
    plan.tokens += work.tokens;
    items.push_back({work.tokens, options.cost.of(work)});
  }
  plan.ranks = pack_evenly(items, options.micro_batch_tokens, data_size);
  for (auto& micro_batches : plan.ranks)
    for (MicroBatch& micro_batch : micro_batches)
      for (int64_t& place : micro_batch) place = pairs[static_cast<std::size_t>(place)];
  return plan;
}

StepPlan plan_step(PairLengths const& lengths, uint64_t seed, int64_t step, BatchOptions const& options,
                   int data_size) {
  int64_t const per_epoch = steps_per_epoch(lengths.size(), options);
  int64_t const epoch = step / per_epoch, within = step % per_epoch;
  auto const order = epoch_order(lengths.size(), seed, epoch, options.shuffle);
  StepPlan plan = plan_pairs(lengths, part_of(order, within, options), options, data_size);
  plan.epoch = static_cast<double>(epoch) + static_cast<double>(within + 1) / static_cast<double>(per_epoch);
  return plan;
}

Balance balance_of(PairLengths const& lengths, uint64_t seed, int64_t steps, BatchOptions const& options,
                   int data_size) {
  Balance balance;
  double dearest = 0, mean = 0;
  auto const order = epoch_order(lengths.size(), seed, 0, options.shuffle);
  for (int64_t step = 0; step < std::min(steps, steps_per_epoch(lengths.size(), options)); ++step) {
    StepPlan const plan = plan_pairs(lengths, part_of(order, step, options), options, data_size);
    auto const micro_batches = static_cast<int64_t>(plan.ranks.front().size());
    balance.micro_batches = std::max(balance.micro_batches, micro_batches);
    for (std::size_t k = 0; k < plan.ranks.front().size(); ++k) {
      double most = 0, sum = 0;
      for (auto const& rank : plan.ranks) {
        double const cost = cost_of(rank[k], lengths, options);
        most = std::max(most, cost);
        sum += cost;
        int64_t tokens = 0;
        for (int64_t const pair : rank[k]) tokens += pair_tokens(lengths, pair, options.answers);
        balance.most_tokens = std::max(balance.most_tokens, tokens);
      }
      if (sum == 0) continue;
      balance.worst = std::max(balance.worst, most * data_size / sum);
      dearest += most;
      mean += sum / data_size;
    }
  }
  if (mean > 0) balance.waiting = dearest / mean;
  return balance;
}

}  // namespace refrain::train
