#pragma once

#include <refrain/train/run_layout.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace refrain::train {

/// Pairs, batches and steps of a run, as far as plans need them.
struct Workload {
  PairLengths lengths;
  BatchOptions batches;
  uint64_t seed = 42;
  int64_t steps = 1;
  bool needs_reference = true;
  std::string about;  ///< where the lengths come from

  /// `pairs` pairs of lengths like RefusEU's: prompts of 60 to 250 tokens, answers of 20 to 200, evenly spread.
  static PairLengths like_refuseu(int64_t pairs);

  /// Micro-batches of each data rank in step `step`.
  std::vector<std::vector<PairWork>> step_shapes(int64_t step, int data_size) const;
  /// Up to `most` steps, evenly spread over the run.
  std::vector<int64_t> sample(int64_t most) const;
  /// The largest micro-batch that any rank meets: exact for up to 64 steps, else the largest that there can be.
  PairWork longest(int data_size) const;
};

}  // namespace refrain::train
