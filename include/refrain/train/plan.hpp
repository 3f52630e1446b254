#pragma once

#include <refrain/train/pair_cost.hpp>

#include <cstdint>
#include <vector>

namespace refrain::train {

struct BatchOptions {
  int64_t global_batch_pairs = 64;
  int64_t micro_batch_tokens = 8192;
  bool shuffle = true;
  Answers answers = Answers::both;
  WorkCost cost;
};

/// Pairs, by their number in the pairs file, that one data rank works on at once.
using MicroBatch = std::vector<int64_t>;

/// One optimizer step: which pairs it takes, and who works on them.
struct StepPlan {
  std::vector<std::vector<MicroBatch>>
      ranks;                  ///< of each data rank; the same number of micro-batches, some may be empty
  int64_t pairs = 0;          ///< of the whole step: the denominator of the pair losses
  int64_t tokens = 0;         ///< that go through the model, over all ranks
  int64_t chosen_tokens = 0;  ///< scored tokens of its chosen answers: the denominator of the token loss
  double epoch = 0;           ///< passes over the pairs when the step is done
};

/// Steps of one pass over the pairs; the last one may be smaller.
int64_t steps_per_epoch(int64_t pairs, BatchOptions const& options) noexcept;

/// The plan of step `step` (from 0). Pure: the same on every rank, and the set of pairs, their number and the
/// denominators do not depend on `data_size` or the packing. Pairs are never split; each rank gets about the same work,
/// micro-batch by micro-batch (`pack_evenly`).
/// @pre lengths is not empty
StepPlan plan_step(PairLengths const& lengths, uint64_t seed, int64_t step, BatchOptions const& options, int data_size);

/// The same for given pairs, e.g. an evaluation's.
StepPlan plan_pairs(PairLengths const& lengths, std::vector<int64_t> const& pairs, BatchOptions const& options,
                    int data_size);

/// How evenly plans lay work on the data ranks, by `BatchOptions::cost`.
struct Balance {
  double waiting = 1;         ///< the dearest ranks' cost over the mean rank's, micro-batch by micro-batch, in sum
  double worst = 1;           ///< the same of the most uneven micro-batch
  int64_t micro_batches = 0;  ///< of a rank, at most in a step
  int64_t most_tokens = 0;    ///< of a micro-batch
};

/// Of the first `steps` steps, or of one pass over the pairs if that is less.
Balance balance_of(PairLengths const& lengths, uint64_t seed, int64_t steps, BatchOptions const& options,
                   int data_size);

}  // namespace refrain::train
