#include <refrain/train/metrics.hpp>

#include <algorithm>
#include <span>

namespace refrain::train {
namespace {

static_assert(sizeof(Sums) % sizeof(double) == 0);
constexpr std::size_t fields = sizeof(Sums) / sizeof(double);

std::span<double, fields> as_vector(Sums& sums) { return std::span<double, fields>(&sums.loss, fields); }
std::span<double const, fields> as_vector(Sums const& sums) {
  return std::span<double const, fields>(&sums.loss, fields);
}

double per_token(double logp, int64_t tokens) { return logp / static_cast<double>(std::max<int64_t>(1, tokens)); }
double mean(double sum, double count) { return count > 0 ? sum / count : 0; }

}  // namespace

void Sums::add(Sums const& other) {
  auto const mine = as_vector(*this);
  auto const theirs = as_vector(other);
  for (std::size_t i = 0; i < fields; ++i) mine[i] += theirs[i];
}

void Sums::all_reduce(comm::Collectives& ranks) {
  comm::Buffer const buffer{.data = &loss, .count = fields, .type = DType::fp64};
  ranks.wait(ranks.all_reduce(buffer, comm::ReduceOp::sum, comm::Lane::compute), comm::Lane::compute);
}

void add_pair(Sums& sums, Options const& options, PairLogps const& logps, double loss, AnswerStats const& chosen,
              AnswerStats const* rejected) {
  sums.loss += loss;
  sums.pairs += 1;
  sums.logp_chosen += logps.chosen;
  sums.logit_chosen += chosen.logit;
  sums.entropy += chosen.entropy;
  sums.tokens_chosen += static_cast<double>(logps.chosen_tokens);
  sums.likeliest_chosen += static_cast<double>(chosen.likeliest);
  sums.sequence_tokens += static_cast<double>(chosen.sequence_tokens);
  if (rejected == nullptr) return;
  sums.logp_rejected += logps.rejected;
  sums.logit_rejected += rejected->logit;
  sums.entropy += rejected->entropy;
  sums.tokens_rejected += static_cast<double>(logps.rejected_tokens);
  sums.sequence_tokens += static_cast<double>(rejected->sequence_tokens);

  double const reward_chosen = options.beta * (logps.chosen - logps.reference_chosen);
  double const reward_rejected = options.beta * (logps.rejected - logps.reference_rejected);
  sums.reward_chosen += reward_chosen;
  sums.reward_rejected += reward_rejected;
  sums.reward_margin += reward_chosen - reward_rejected;
  sums.reward_accuracy += reward_chosen > reward_rejected ? 1 : 0;
  double const margin = per_token(logps.chosen, logps.chosen_tokens) - per_token(logps.rejected, logps.rejected_tokens);
  sums.token_logp_margin += margin;
  sums.token_logp_accuracy += margin > 0 ? 1 : 0;
}

void append_means(Json& row, Sums const& sums, Options const& options, std::string const& prefix) {
  auto const put = [&](char const* key, double value) { row[prefix + key] = value; };
  if (options.needs_reference()) {
    put("rewards/chosen", mean(sums.reward_chosen, sums.pairs));
    put("rewards/rejected", mean(sums.reward_rejected, sums.pairs));
    put("rewards/accuracies", mean(sums.reward_accuracy, sums.pairs));
    put("rewards/margins", mean(sums.reward_margin, sums.pairs));
  }
  put("logps/chosen", mean(sums.logp_chosen, sums.pairs));
  if (options.needs_reference()) put("logps/rejected", mean(sums.logp_rejected, sums.pairs));
  put("logits/chosen", mean(sums.logit_chosen, sums.tokens_chosen));
  if (options.needs_reference()) put("logits/rejected", mean(sums.logit_rejected, sums.tokens_rejected));
  put("entropy", mean(sums.entropy, sums.tokens_chosen + sums.tokens_rejected));
  put("mean_token_accuracy", mean(sums.likeliest_chosen, sums.tokens_chosen));
}

}  // namespace refrain::train
