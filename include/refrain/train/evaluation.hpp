#pragma once

#include <refrain/train/pair_set.hpp>

#include <functional>
#include <map>
#include <string>

namespace refrain::train {

/// Held-out pairs as the model of the moment ranks them.
struct Evaluation {
  Sums all;
  std::map<std::string, Sums> by_language;
};

/// Runs all pairs of `set` through the model, batch by batch. The loss is the mean over all pairs.
/// @collective over all ranks
Evaluation evaluate(PairPass& pass, PairSet const& set, BatchOptions const& batches, comm::ParallelLayout const& layout,
                    std::function<void()> const& alive);

/// eval.json's entry: {"step": n, "languages": {"de": {"pairs", "loss", "accuracy", "margin", "logp_accuracy",
/// "logp_margin"}}}, where accuracy and margin are of rewards, and logp_* of the policy's log-probabilities per token,
/// without the reference (so that they say something before the first step, too).
Json evaluation_record(Evaluation const& evaluation, int64_t step, Options const& options);

/// A row a language and one for all: accuracy and margin after, and what there was before (null: not known).
std::string language_table(Json const& before, Json const& after);

}  // namespace refrain::train
