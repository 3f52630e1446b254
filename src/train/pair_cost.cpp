#include <refrain/train/pair_cost.hpp>

#include <algorithm>

namespace refrain::train {
namespace {

int64_t fed_tokens(int32_t answer) noexcept { return std::max(answer - 1, 0); }

/// Queries x keys of a causal segment behind a prefix.
int64_t seen_by(int64_t length, int64_t prefix) noexcept { return length * prefix + length * (length + 1) / 2; }

}  // namespace

int32_t scored_tokens(int32_t prompt, int32_t answer) noexcept { return prompt > 0 ? answer : std::max(answer - 1, 0); }

PairWork pair_work(PairLengths const& lengths, int64_t pair, Answers answers) noexcept {
  auto const i = static_cast<std::size_t>(pair);
  int64_t const prompt = lengths.prompt[i];
  int64_t const chosen = fed_tokens(lengths.chosen[i]), rejected = fed_tokens(lengths.rejected[i]);
  PairWork work{.tokens = prompt + chosen,
                .seen = seen_by(prompt + chosen, 0),
                .scored = scored_tokens(lengths.prompt[i], lengths.chosen[i])};
  if (answers == Answers::chosen) return work;
  bool const shared = answers == Answers::both;
  work.tokens += shared ? rejected : prompt + rejected;
  work.seen += shared ? seen_by(rejected, prompt) : seen_by(prompt + rejected, 0);
  work.scored += scored_tokens(lengths.prompt[i], lengths.rejected[i]);
  return work;
}

int64_t pair_tokens(PairLengths const& lengths, int64_t pair, Answers answers) noexcept {
  return pair_work(lengths, pair, answers).tokens;
}

double WorkCost::of(PairWork const& work) const noexcept {
  return token * static_cast<double>(work.tokens) + seen * static_cast<double>(work.seen) +
         scored * static_cast<double>(work.scored);
}

WorkCost work_cost(checkpoint::ModelConfig const& config) noexcept {
  auto const layers = static_cast<double>(config.num_hidden_layers), hidden = static_cast<double>(config.hidden_size);
  auto const heads = static_cast<double>(config.num_attention_heads * config.head_dim);
  auto const kv_heads = static_cast<double>(config.num_key_value_heads * config.head_dim);
  auto const mlp = static_cast<double>(config.intermediate_size), vocabulary = static_cast<double>(config.vocab_size);
  return {.token = 6 * layers * (hidden * (heads + 2 * kv_heads) + heads * hidden + 3 * hidden * mlp),
          .seen = 2 * 14 * layers * heads,
          .scored = 8 * hidden * vocabulary};
}

}  // namespace refrain::train
