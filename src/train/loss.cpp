#include <refrain/train/loss.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace refrain::train {
namespace {

double log_sigmoid(double x) { return x >= 0 ? -std::log1p(std::exp(-x)) : x - std::log1p(std::exp(x)); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

PairLoss pair_loss(Options const& options, PairLogps const& logps, Denominators const& denominators) {
  double const beta = options.beta;
  double const chosen = logps.chosen - logps.reference_chosen, rejected = logps.rejected - logps.reference_rejected;
  double const x = beta * (chosen - rejected);
  PairLoss result;
  switch (options.loss) {
    case Loss::sigmoid:
      result.loss = -log_sigmoid(x);
      result.by_chosen = -beta * sigmoid(-x);
      result.by_rejected = -result.by_chosen;
      break;
    case Loss::robust: {
      double const e = options.label_smoothing, scale = 1 / (1 - 2 * e);
      result.loss = scale * (-(1 - e) * log_sigmoid(x) + e * log_sigmoid(-x));
      result.by_chosen = scale * beta * (-(1 - e) * sigmoid(-x) - e * sigmoid(x));
      result.by_rejected = -result.by_chosen;
      break;
    }
    case Loss::hinge:
      result.loss = std::max(0.0, 1 - x);
      result.by_chosen = x < 1 ? -beta : 0;
      result.by_rejected = -result.by_chosen;
      break;
    case Loss::ipo: {
      double const per_chosen = 1.0 / static_cast<double>(std::max<int64_t>(1, logps.chosen_tokens));
      double const per_rejected = 1.0 / static_cast<double>(std::max<int64_t>(1, logps.rejected_tokens));
      double const distance = chosen * per_chosen - rejected * per_rejected - 1 / (2 * beta);
      result.loss = distance * distance;
      result.by_chosen = 2 * distance * per_chosen;
      result.by_rejected = -2 * distance * per_rejected;
      break;
    }
    case Loss::sft: break;
  }
  result.loss /= denominators.pairs;
  result.by_chosen /= denominators.pairs;
  result.by_rejected /= denominators.pairs;

  double const token_weight = options.loss == Loss::sft ? 1 : options.sft_weight;
  if (token_weight != 0) {
    result.loss -= token_weight * logps.chosen / denominators.chosen_tokens;
    result.by_chosen -= token_weight / denominators.chosen_tokens;
  }
  return result;
}

double initial_loss(Options const& options, double sft_loss) {
  double loss = std::numbers::ln2;
  if (options.loss == Loss::ipo) loss = 1 / (4 * options.beta * options.beta);
  if (options.loss == Loss::hinge) loss = 1;
  return loss + options.sft_weight * sft_loss;
}

}  // namespace refrain::train
