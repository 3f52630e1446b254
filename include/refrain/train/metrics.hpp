#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/comm/collectives.hpp>
#include <refrain/train/loss.hpp>

#include <cstdint>
#include <string>

namespace refrain::train {

/// Sums over pairs, from which a row of metrics is made; they add up over micro-batches and data ranks. Only doubles,
/// since they travel as one vector.
struct Sums {
  double loss = 0, pairs = 0;
  double reward_chosen = 0, reward_rejected = 0, reward_margin = 0, reward_accuracy = 0;
  double logp_chosen = 0, logp_rejected = 0;
  double token_logp_margin = 0, token_logp_accuracy = 0;  ///< of log-probabilities per token, without the reference
  double logit_chosen = 0, logit_rejected = 0, entropy = 0;
  double tokens_chosen = 0, tokens_rejected = 0, likeliest_chosen = 0;
  double sequence_tokens = 0;  ///< prompt and answer, the prompt once for each answer

  void add(Sums const& other);
  /// Sum over a group of ranks. @collective
  void all_reduce(comm::Collectives& ranks);
};

/// What the head says of one answer, summed over its tokens.
struct AnswerStats {
  double logit = 0, entropy = 0;
  int64_t likeliest = 0, sequence_tokens = 0;
};

/// Adds one pair. `rejected` is null where only the chosen answer ran (loss sft).
void add_pair(Sums& sums, Options const& options, PairLogps const& logps, double loss, AnswerStats const& chosen,
              AnswerStats const* rejected);

/// The keys of TRL's DPOTrainer that follow from sums, each with `prefix` ("" or "eval_").
void append_means(Json& row, Sums const& sums, Options const& options, std::string const& prefix);

}  // namespace refrain::train
