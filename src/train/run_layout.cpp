#include <refrain/train/run_layout.hpp>

#include <refrain/model/head.hpp>
#include <refrain/train/options.hpp>

#include "formatted.hpp"

namespace refrain::train {

std::string RunLayout::text() const {
  return formatted("tensor %d x data %d, zero %d, recompute %s", tensor, data, static_cast<int>(zero),
                   choice_name(recompute).c_str());
}

int64_t Formats::chunk_rows(checkpoint::ModelConfig const& config, int tensor) const {
  return given_chunk_rows.value_or(model::default_chunk_rows(config, tensor, device == DeviceKind::gpu));
}

PairWork work_of(PairLengths const& lengths, MicroBatch const& pairs, BatchOptions const& batches) {
  PairWork all;
  for (int64_t const pair : pairs) {
    PairWork const work = pair_work(lengths, pair, batches.answers);
    all.tokens += work.tokens;
    all.seen += work.seen;
    all.scored += work.scored;
  }
  return all;
}

int64_t padded_tokens(int64_t tokens, int tensor) noexcept { return (tokens + tensor - 1) / tensor * tensor; }

}  // namespace refrain::train
