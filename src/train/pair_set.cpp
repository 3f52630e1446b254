#include <refrain/train/pair_set.hpp>

#include <refrain/train/batch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace refrain::train {
namespace {

bool same_answers(h5::Pairs const& pairs, std::size_t i) {
  auto const chosen = pairs.tokens.begin() + pairs.chosen_begin[i];
  auto const rejected = pairs.tokens.begin() + pairs.rejected_begin[i];
  return std::equal(chosen, chosen + pairs.chosen_length[i], rejected, rejected + pairs.rejected_length[i]);
}

}  // namespace

PairSet PairSet::load(std::filesystem::path const& path, int64_t vocab_size) {
  PairSet set;
  set.pairs = h5::read_pairs(path);
  if (set.pairs.size() == 0)
    throw Error("the file holds no pairs", "shard pairs into it, or choose another", {.file = path});
  auto const [low, high] = std::minmax_element(set.pairs.tokens.begin(), set.pairs.tokens.end());
  if (low != set.pairs.tokens.end() && (*low < 0 || *high >= vocab_size)) {
    int64_t const wrong = *low < 0 ? *low : *high;
    throw Error("token " + std::to_string(wrong) + " is not among the " + std::to_string(vocab_size) +
                    " tokens of the model",
                "shard the pairs with this model's tokenizer", {.file = path, .object = "/tokens"});
  }
  set.lengths = lengths_of(set.pairs);
  auto const size = static_cast<std::size_t>(set.pairs.size());
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  set.reference = {std::vector<double>(size, nan), std::vector<double>(size, nan)};
  return set;
}

PairPass::PairPass(Options const& options, StepEngine& engine, comm::ParallelLayout const& layout)
    : options_(options),
      engine_(engine),
      layout_(layout),
      data_(comm::mpi_collectives(layout.data())),
      answers_(options.answers()) {}

std::vector<MicroBatch> const& PairPass::mine(StepPlan const& plan) const {
  return plan.ranks[static_cast<std::size_t>(layout_.data().rank())];
}

model::PackedBatch PairPass::packed(PairSet const& set, MicroBatch const& pairs) const {
  return pack(set.pairs, pairs, answers_, layout_.tensor().size());
}

std::vector<double> PairPass::account(PairSet const& set, MicroBatch const& pairs, AnswerSums const& answers,
                                      Denominators const& denominators, Sums& sums, Visit const& visit) const {
  std::vector<double> gradients(answers.logp.size());
  bool const both = answers_ != Answers::chosen;
  for (std::size_t k = 0; k < pairs.size(); ++k) {
    auto const i = static_cast<std::size_t>(pairs[k]);
    std::size_t const chosen = both ? 2 * k : k, rejected = chosen + 1;
    auto const stats = [&](std::size_t answer, int32_t length) {
      return AnswerStats{.logit = answers.logit[answer],
                         .entropy = answers.entropy[answer],
                         .likeliest = answers.likeliest[answer],
                         .sequence_tokens = set.lengths.prompt[i] + length};
    };
    PairLogps logps{.chosen = answers.logp[chosen], .chosen_tokens = answers.tokens[chosen]};
    if (both) {
      logps.rejected = answers.logp[rejected];
      logps.rejected_tokens = answers.tokens[rejected];
      logps.reference_chosen = set.reference.chosen[i];
      logps.reference_rejected = set.reference.rejected[i];
    }
    // Answers cut to the same tokens have the same log-probability: no rounding error makes one of them the likelier,
    // and what pulls at both cancels.
    bool const same = both && same_answers(set.pairs, i);
    if (same) {
      logps.rejected = logps.chosen;
      logps.reference_rejected = logps.reference_chosen;
    }
    PairLoss const loss = pair_loss(options_, logps, denominators);
    gradients[chosen] = same ? loss.by_chosen + loss.by_rejected : loss.by_chosen;
    if (both && !same) gradients[rejected] = loss.by_rejected;

    AnswerStats const chosen_stats = stats(chosen, set.lengths.chosen[i]);
    AnswerStats const rejected_stats = both ? stats(rejected, set.lengths.rejected[i]) : AnswerStats{};
    Sums pair;
    add_pair(pair, options_, logps, loss.loss, chosen_stats, both ? &rejected_stats : nullptr);
    sums.add(pair);
    if (visit) visit(pairs[k], logps, pair);
  }
  return gradients;
}

Sums PairPass::train(PairSet const& set, StepPlan const& plan, std::function<void()> const& alive) {
  Denominators const denominators{.pairs = static_cast<double>(plan.pairs),
                                  .chosen_tokens = static_cast<double>(plan.chosen_tokens)};
  Sums sums;
  for (auto const& pairs : mine(plan)) {
    engine_.train(packed(set, pairs),
                  [&](AnswerSums const& answers) { return account(set, pairs, answers, denominators, sums, {}); });
    alive();
  }
  sums.all_reduce(*data_);
  return sums;
}

Sums PairPass::evaluate(PairSet const& set, StepPlan const& plan, Visit const& visit,
                        std::function<void()> const& alive) {
  Denominators const denominators{.pairs = static_cast<double>(plan.pairs),
                                  .chosen_tokens = static_cast<double>(plan.chosen_tokens)};
  Sums sums;
  for (auto const& pairs : mine(plan)) {
    account(set, pairs, engine_.forward(packed(set, pairs)), denominators, sums, visit);
    alive();
  }
  sums.all_reduce(*data_);
  return sums;
}

StepPlan plan_all(PairSet const& set, BatchOptions const& batches, int data_size) {
  std::vector<int64_t> all(static_cast<std::size_t>(set.pairs.size()));
  std::iota(all.begin(), all.end(), 0);
  return plan_pairs(set.lengths, all, batches, data_size);
}

bool PairPass::knows_reference(PairSet const& set, StepPlan const& plan) {
  for (auto const& rank : plan.ranks)
    for (auto const& micro_batch : rank)
      for (int64_t const pair : micro_batch)
        if (std::isnan(set.reference.chosen[static_cast<std::size_t>(pair)])) return false;
  return true;
}

void PairPass::fill_reference(PairSet& set, StepPlan const& plan, std::function<void()> const& alive) {
  // Chosen and rejected side by side, in the order of the ranks' plans: every rank knows who has which.
  std::vector<int64_t> order;
  for (auto const& rank : plan.ranks)
    for (auto const& micro_batch : rank) order.insert(order.end(), micro_batch.begin(), micro_batch.end());
  std::vector<double> values(2 * order.size(), 0.0);
  std::size_t next = 0;
  for (std::size_t rank = 0; rank < plan.ranks.size(); ++rank) {
    for (auto const& pairs : plan.ranks[rank]) {
      if (static_cast<int>(rank) == layout_.data().rank()) {
        AnswerSums const answers = engine_.forward(packed(set, pairs));
        std::copy(answers.logp.begin(), answers.logp.end(), values.begin() + static_cast<std::ptrdiff_t>(2 * next));
        alive();
      }
      next += pairs.size();
    }
  }
  comm::Buffer const buffer{.data = values.data(), .count = values.size(), .type = DType::fp64};
  data_->wait(data_->all_reduce(buffer, comm::ReduceOp::sum, comm::Lane::compute), comm::Lane::compute);
  for (std::size_t k = 0; k < order.size(); ++k) {
    set.reference.chosen[static_cast<std::size_t>(order[k])] = values[2 * k];
    set.reference.rejected[static_cast<std::size_t>(order[k])] = values[2 * k + 1];
  }
}

}  // namespace refrain::train
