#include <refrain/train/run_layout.hpp>

#include <refrain/model/head.hpp>
#include <refrain/train/options.hpp>

#include "formatted.hpp"

#include <algorithm>

namespace refrain::train {

std::string RunLayout::text() const {
  return formatted("tensor %d x data %d, zero %d, recompute %s", tensor, data, static_cast<int>(zero),
                   choice_name(recompute).c_str());
}

int64_t Formats::chunk_rows(checkpoint::ModelConfig const& config, int tensor) const {
  return given_chunk_rows.value_or(model::default_chunk_rows(config, tensor));
}

BatchShape shape_of(PairLengths const& lengths, MicroBatch const& pairs, BatchOptions const& batches) {
  BatchShape shape;
  auto const add = [&](int64_t tokens, int64_t prefix) {
    shape.tokens += tokens;
    shape.query_keys += tokens * prefix + tokens * (tokens + 1) / 2;
  };
  for (int64_t const pair : pairs) {
    auto const i = static_cast<std::size_t>(pair);
    int64_t const first = pair_tokens(lengths, pair, Answers::chosen);
    int64_t const second = pair_tokens(lengths, pair, batches.answers) - first;
    add(first, 0);
    shape.scored += scored_tokens(lengths.prompt[i], lengths.chosen[i]);
    if (batches.answers == Answers::chosen) continue;
    // What of the prompt the other answer does not bring along, it sees as its prefix.
    add(second, std::max<int64_t>(0, lengths.prompt[i] + lengths.rejected[i] - 1 - second));
    shape.scored += scored_tokens(lengths.prompt[i], lengths.rejected[i]);
  }
  return shape;
}

int64_t padded_tokens(int64_t tokens, int tensor) noexcept { return (tokens + tensor - 1) / tensor * tensor; }

}  // namespace refrain::train
