#pragma once

#include <refrain/train/options.hpp>

#include <cstdint>

namespace refrain::train {

/// What the loss of one pair depends on: sums of log-probabilities over the answers' tokens, and how many those are.
struct PairLogps {
  double chosen = 0, rejected = 0, reference_chosen = 0, reference_rejected = 0;
  int64_t chosen_tokens = 0, rejected_tokens = 0;
};

/// A pair's share of the step's loss, and its derivatives by the two policy log-probabilities.
struct PairLoss {
  double loss = 0, by_chosen = 0, by_rejected = 0;
};

/// Denominators of a step, over all ranks.
struct Denominators {
  double pairs = 1, chosen_tokens = 1;
};

/// The loss as TRL 1.16's DPOTrainer defines it (trl/trainer/dpo_trainer.py, _compute_loss), in fp64: sigmoid
/// -log s(beta d) with d = (c - ref_c) - (r - ref_r); ipo (d' - 1/(2 beta))^2 with log-probabilities per token; hinge;
/// robust with label smoothing; sft the token loss of the chosen answer; `sft_weight` adds the last to one of the
/// others.
PairLoss pair_loss(Options const& options, PairLogps const& logps, Denominators const& denominators);

/// What the loss must be while policy and reference are the same model: ln 2, 1 / (4 beta^2), or 1; `sft` is the token
/// loss to be added. @pre options.needs_reference()
double initial_loss(Options const& options, double sft_loss);

}  // namespace refrain::train
