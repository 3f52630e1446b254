#pragma once

#include <cstdint>
#include <vector>

namespace refrain::train {

/// Token counts of a pair's parts, as plain numbers: what planning needs to know of the pairs.
struct PairLengths {
  std::vector<int32_t> prompt, chosen, rejected;
  int64_t size() const noexcept { return static_cast<int64_t>(prompt.size()); }
};

/// Which answers of a pair run through the model.
enum class Answers { both, chosen };

struct BatchOptions {
  int64_t global_batch_pairs = 64;
  int64_t micro_batch_tokens = 8192;
  bool shuffle = true;
  Answers answers = Answers::both;
};

/// Pairs, by their number in the pairs file, that one data rank works on at once.
using MicroBatch = std::vector<int64_t>;

/// One optimizer step: which pairs it takes, and who works on them.
struct StepPlan {
  std::vector<std::vector<MicroBatch>>
      ranks;                  ///< of each data rank; the same number of micro-batches, some may be empty
  int64_t pairs = 0;          ///< of the whole step: the denominator of the pair losses
  int64_t chosen_tokens = 0;  ///< scored tokens of its chosen answers: the denominator of the token loss
  double epoch = 0;           ///< passes over the pairs when the step is done
};

/// Steps of one pass over the pairs; the last one may be smaller.
int64_t steps_per_epoch(int64_t pairs, BatchOptions const& options) noexcept;

/// Tokens of the pair that go through the model; an answer's last token predicts nothing and stays out.
int64_t pair_tokens(PairLengths const& lengths, int64_t pair, Answers answers) noexcept;

/// Answer tokens that have something before them to be predicted from: all, unless the prompt is empty.
int32_t scored_tokens(int32_t prompt, int32_t answer) noexcept;

/// The plan of step `step` (from 0). Pure: the same on every rank, and the set of pairs, their number and the
/// denominators do not depend on `data_size`. Pairs are never split; each rank gets about the same number of tokens.
/// @pre lengths is not empty
StepPlan plan_step(PairLengths const& lengths, uint64_t seed, int64_t step, BatchOptions const& options, int data_size);

/// The same for given pairs, e.g. an evaluation's.
StepPlan plan_pairs(PairLengths const& lengths, std::vector<int64_t> const& pairs, BatchOptions const& options,
                    int data_size);

}  // namespace refrain::train
