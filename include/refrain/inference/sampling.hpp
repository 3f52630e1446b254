#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace refrain::inference {

/// How the next token is chosen, in the order and with the meaning of transformers' logits processors.
struct Sampling {
  double temperature = 0;  ///< divides logits; 0: the likeliest token, the lowest of equals
  int64_t top_k = 0;       ///< only the k likeliest tokens; 0: all
  double top_p = 1;        ///< of those, the fewest likeliest ones whose probabilities sum to this much
};

/// The next token: the first one, in the vocabulary's order, at which the sum of the kept tokens' probabilities passes
/// `drawn`, a number from [0, 1). @pre logits are not empty
int32_t next_token(std::span<float const> logits, Sampling const& sampling, double drawn);

/// log softmax over all logits, at `tokens`.
std::vector<double> log_probabilities(std::span<float const> logits, std::span<int32_t const> tokens);

}  // namespace refrain::inference
