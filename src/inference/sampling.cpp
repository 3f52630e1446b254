#include <refrain/inference/sampling.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace refrain::inference {
namespace {

int32_t likeliest(std::span<float const> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// Clears the probabilities of tokens that top-k and top-p leave out.
void keep_likely(std::vector<double>& probabilities, Sampling const& sampling) {
  auto const count = static_cast<int64_t>(probabilities.size());
  bool const by_rank = sampling.top_k > 0 && sampling.top_k < count;
  if (!by_rank && sampling.top_p >= 1) return;
  std::vector<int32_t> order(probabilities.size());
  std::iota(order.begin(), order.end(), 0);
  auto const likelier = [&](int32_t a, int32_t b) {
    double const p = probabilities[static_cast<std::size_t>(a)], q = probabilities[static_cast<std::size_t>(b)];
    return p != q ? p > q : a < b;
  };
  int64_t const kept_by_rank = by_rank ? sampling.top_k : count;
  std::partial_sort(order.begin(), order.begin() + kept_by_rank, order.end(), likelier);
  double total = 0;
  for (int64_t i = 0; i < kept_by_rank; ++i)
    total += probabilities[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])];
  int64_t kept = 0;
  for (double sum = 0; kept < kept_by_rank && (kept == 0 || sum < sampling.top_p * total); ++kept)
    sum += probabilities[static_cast<std::size_t>(order[static_cast<std::size_t>(kept)])];
  for (int64_t i = kept; i < count; ++i)
    probabilities[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = 0;
}

}  // namespace

int32_t next_token(std::span<float const> logits, Sampling const& sampling, double drawn) {
  if (sampling.temperature == 0) return likeliest(logits);
  double const highest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> probabilities(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i)
    probabilities[i] = std::exp((static_cast<double>(logits[i]) - highest) / sampling.temperature);
  keep_likely(probabilities, sampling);
  double const border = drawn * std::accumulate(probabilities.begin(), probabilities.end(), 0.);
  double sum = 0;
  int32_t last = 0;
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    if (probabilities[i] == 0) continue;
    sum += probabilities[i];
    last = static_cast<int32_t>(i);
    if (sum > border) break;
  }
  return last;
}

std::vector<double> log_probabilities(std::span<float const> logits, std::span<int32_t const> tokens) {
  if (tokens.empty()) return {};
  double const highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float const logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
  std::vector<double> logps;
  for (int32_t const token : tokens)
    logps.push_back(static_cast<double>(logits[static_cast<std::size_t>(token)]) - highest - std::log(sum));
  return logps;
}

}  // namespace refrain::inference
