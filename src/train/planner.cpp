#include <refrain/train/planner.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/comm/parallel_layout.hpp>

#include "formatted.hpp"

#include <algorithm>
#include <tuple>

namespace refrain::train {
namespace {

using model::SequenceParallel;
using model::Zero;

constexpr int64_t steps_timed = 4;
/// Time within which the simpler of two layouts is taken.
constexpr double as_fast = 1.01;
constexpr int most_nodes = 512;

auto simplicity(RunLayout const& layout) { return std::tuple(layout.recompute, layout.tensor, layout.zero); }

}  // namespace

Planner::Planner(checkpoint::ModelConfig const& config, Formats const& formats, Cluster const& cluster,
                 Workload const& workload, double memory)
    : config_(config), formats_(formats), cluster_(cluster), workload_(workload), memory_(memory) {}

Planner::Shapes const& Planner::shapes(int data_size) const {
  auto const [found, is_new] = shapes_.try_emplace(data_size);
  if (is_new) {
    found->second.longest = workload_.longest(data_size);
    for (int64_t const step : workload_.sample(steps_timed))
      found->second.steps.push_back(workload_.step_shapes(step, data_size));
  }
  return found->second;
}

std::vector<int> Planner::tensor_degrees(LayoutWishes const& wishes) const {
  int const ranks = cluster_.ranks();
  if (wishes.tensor || wishes.data) {
    if (!wishes.tensor && ranks % *wishes.data != 0)
      throw UsageError("--data-parallel " + std::to_string(*wishes.data) + " does not divide " + std::to_string(ranks) +
                           " ranks",
                       "give a number that does");
    int const tensor = wishes.tensor.value_or(wishes.data ? ranks / *wishes.data : 1);
    comm::check_grid(ranks, tensor, wishes.data.value_or(0));
    model::check_tensor_degree(config_, tensor);
    return {tensor};
  }
  std::vector<int> degrees;
  for (int degree = 1; degree <= cluster_.ranks_per_node; ++degree) {
    bool const on_one_node = cluster_.ranks_per_node % degree == 0;
    bool const divides = config_.num_attention_heads % degree == 0 && config_.num_key_value_heads % degree == 0 &&
                         config_.intermediate_size % degree == 0;
    if (on_one_node && divides) degrees.push_back(degree);
  }
  return degrees;
}

StepTime Planner::mean_time(RunLayout const& layout, int64_t steps) const {
  TimeModel const model(config_, layout, formats_, cluster_);
  auto const step_numbers = workload_.sample(steps);
  StepTime mean;
  auto const add = [&](StepTime const& time) {
    auto const count = static_cast<double>(step_numbers.size());
    mean.products += time.products / count;
    mean.activations += time.activations / count;
    mean.exposed += time.exposed / count;
    mean.optimizer += time.optimizer / count;
  };
  if (steps == steps_timed)
    for (auto const& step : shapes(layout.data).steps) add(model.step(step));
  else
    for (int64_t const step : step_numbers) add(model.step(workload_.step_shapes(step, layout.data)));
  return mean;
}

Candidate Planner::candidate(RunLayout const& layout) const {
  Candidate result{.layout = layout};
  result.memory = rank_memory(config_, layout, formats_, shapes(layout.data).longest);
  result.time = mean_time(layout, steps_timed);
  result.fits = static_cast<double>(result.memory.total()) <= memory_;
  return result;
}

std::vector<Candidate> Planner::candidates(LayoutWishes const& wishes) const {
  std::vector<Candidate> all;
  for (int const tensor : tensor_degrees(wishes)) {
    RunLayout layout{.tensor = tensor, .data = cluster_.ranks() / tensor};
    bool const shares_rows = wishes.shares_rows && tensor > 1;
    layout.sequence = shares_rows ? SequenceParallel::on : SequenceParallel::off;
    for (Zero const zero : {Zero::none, Zero::optimizer, Zero::gradients, Zero::parameters}) {
      // Where there is nobody to share with, all stages are one.
      if (wishes.zero ? zero != *wishes.zero : zero != Zero::none && layout.data == 1) continue;
      layout.zero = zero;
      for (Recompute const recompute : {Recompute::none, Recompute::selective, Recompute::block}) {
        if (wishes.recompute && recompute != *wishes.recompute) continue;
        layout.recompute = recompute;
        all.push_back(candidate(layout));
      }
    }
  }
  auto const middle = std::stable_partition(all.begin(), all.end(), [](Candidate const& c) { return c.fits; });
  std::stable_sort(middle, all.end(),
                   [](Candidate const& a, Candidate const& b) { return a.memory.total() < b.memory.total(); });
  if (formats_.device == DeviceKind::cpu) {
    std::stable_sort(all.begin(), middle, [](Candidate const& a, Candidate const& b) {
      return simplicity(a.layout) < simplicity(b.layout);
    });
    return all;
  }
  std::stable_sort(all.begin(), middle,
                   [](Candidate const& a, Candidate const& b) { return a.time.total() < b.time.total(); });
  if (middle == all.begin()) return all;
  auto const slower = std::find_if(
      all.begin(), middle, [&](Candidate const& c) { return c.time.total() > as_fast * all.front().time.total(); });
  auto const simplest = std::min_element(all.begin(), slower, [](Candidate const& a, Candidate const& b) {
    return simplicity(a.layout) < simplicity(b.layout);
  });
  std::rotate(all.begin(), simplest, simplest + 1);
  return all;
}

std::optional<RunLayout> Planner::fitting(Cluster const& cluster, Workload const& workload,
                                          LayoutWishes const& wishes) const {
  Candidate const best = Planner(config_, formats_, cluster, workload, memory_).candidates(wishes).front();
  if (!best.fits) return std::nullopt;
  return best.layout;
}

std::vector<std::string> Planner::remedies(LayoutWishes const& wishes) const {
  std::vector<std::string> lines;
  LayoutWishes const free{.shares_rows = wishes.shares_rows};
  if (auto const layout = fitting(cluster_, workload_, free))
    return {"another layout of these ranks: " + layout->text()};
  for (Workload smaller = workload_; lines.empty() && smaller.batches.micro_batch_tokens > 512;) {
    smaller.batches.micro_batch_tokens /= 2;
    if (auto const layout = fitting(cluster_, smaller, free))
      lines.push_back(
          formatted("--micro-batch-tokens %ld: %s", smaller.batches.micro_batch_tokens, layout->text().c_str()));
  }
  auto const on = [&](int nodes) {
    Cluster more = cluster_;
    more.nodes = nodes;
    return fitting(more, workload_, free);
  };
  int too_few = cluster_.nodes, enough = 2 * cluster_.nodes;
  while (enough < most_nodes && !on(enough)) too_few = enough, enough *= 2;
  if (on(enough)) {
    while (enough - too_few > 1) {
      int const middle = (too_few + enough) / 2;
      (on(middle) ? enough : too_few) = middle;
    }
    lines.push_back(formatted("%d nodes like these: %s", enough, on(enough)->text().c_str()));
  }
  if (formats_.adapter) return lines;
  // An adapter's own states are small: there is what is frozen, in the weights' type, and what a micro-batch adds.
  RunLayout const frozen{.tensor = tensor_degrees({}).back(), .recompute = Recompute::block};
  RankMemory memory = rank_memory(config_, frozen, formats_, shapes(cluster_.ranks() / frozen.tensor).longest);
  memory.gradients = memory.gradient_buffers = memory.optimizer = 0;
  if (static_cast<double>(memory.total()) <= memory_)
    lines.push_back(
        formatted("an adapter (--lora-rank; LoRA) on frozen weights, tensor %d, recompute block: about %s a rank",
                  frozen.tensor, format_bytes(static_cast<double>(memory.total())).c_str()));
  return lines;
}

}  // namespace refrain::train
