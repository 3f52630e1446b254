#pragma once

#include <refrain/checkpoint/model_config.hpp>

#include <cstdint>
#include <vector>

namespace refrain::train {

/// Token counts of a pair's parts, as plain numbers: what planning needs to know of the pairs.
struct PairLengths {
  std::vector<int32_t> prompt, chosen, rejected;
  int64_t size() const noexcept { return static_cast<int64_t>(prompt.size()); }
};

/// What of a pair runs through the model: both answers on one copy of their prompt, each on a copy of its own, or the
/// chosen answer alone.
enum class Answers { both, both_apart, chosen };

/// Answer tokens that have something before them to be predicted from: all, unless the prompt is empty.
int32_t scored_tokens(int32_t prompt, int32_t answer) noexcept;

/// What a pair asks of the model.
struct PairWork {
  int64_t tokens = 0;  ///< through the blocks: a shared prompt once; an answer's last token predicts nothing, stays out
  int64_t seen = 0;    ///< queries x keys of attention: l (l + 1) / 2 in a segment of l tokens, and l p with its prefix
  int64_t scored = 0;  ///< rows that meet the output matrix
};
PairWork pair_work(PairLengths const& lengths, int64_t pair, Answers answers) noexcept;

/// The first part of it: tokens of the pair that go through the model.
int64_t pair_tokens(PairLengths const& lengths, int64_t pair, Answers answers) noexcept;

/// Time of a step's forward and backward for each unit of work; only ratios matter.
struct WorkCost {
  double token = 1, seen = 0, scored = 0;
  double of(PairWork const& work) const noexcept;
};

/// Floating-point operations, forward and backward, of a Llama of L layers, hidden size h, H heads and K KV heads of d,
/// MLP size f and vocabulary V, those of attention counted twice:
///   token:  6 L (h d (H + 2 K) + H d h + 3 h f), 6 a weight (PaLM, arXiv 2204.02311, appendix B)
///   seen:   2 x 14 L H d, 2 products of 2 H d forward and 5 backward, as flash attention makes them (arXiv
///   2307.08691);
///           they run at a half (GPUs) to a third (CPUs) of the speed of large matrix products
///   scored: 8 h V, since backward makes the logits again
WorkCost work_cost(checkpoint::ModelConfig const& config) noexcept;

}  // namespace refrain::train
