#include <refrain/train/metrics.hpp>

#include <algorithm>
#include <array>

namespace refrain::train {
namespace {

constexpr std::array members{&Sums::loss,
                             &Sums::pairs,
                             &Sums::reward_chosen,
                             &Sums::reward_rejected,
                             &Sums::reward_margin,
                             &Sums::reward_accuracy,
                             &Sums::logp_chosen,
                             &Sums::logp_rejected,
                             &Sums::token_logp_margin,
                             &Sums::token_logp_accuracy,
                             &Sums::logit_chosen,
                             &Sums::logit_rejected,
                             &Sums::entropy,
                             &Sums::tokens_chosen,
                             &Sums::tokens_rejected,
                             &Sums::likeliest_chosen,
                             &Sums::sequence_tokens};
static_assert(sizeof(Sums) == members.size() * sizeof(double), "a member of Sums is missing above");

double per_token(double logp, int64_t tokens) { return logp / static_cast<double>(std::max<int64_t>(1, tokens)); }
double mean(double sum, double count) { return count > 0 ? sum / count : 0; }

}  // namespace

void Sums::add(Sums const& other) {
  for (auto const member : members) this->*member += other.*member;
}

void Sums::all_reduce(comm::Collectives& ranks) {
  std::array<double, members.size()> values{};
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = this->*members[i];
  comm::Buffer const buffer{.data = values.data(), .count = values.size(), .type = DType::fp64};
  ranks.wait(ranks.all_reduce(buffer, comm::ReduceOp::sum, comm::Lane::compute), comm::Lane::compute);
  for (std::size_t i = 0; i < values.size(); ++i) this->*members[i] = values[i];
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
