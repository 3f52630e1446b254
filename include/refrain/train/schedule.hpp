#pragma once

#include <refrain/train/options.hpp>

#include <cstdint>

namespace refrain::train {

/// The learning rate of step `step` (from 0) of `steps`, as transformers' optimization.py schedules it: a linear rise
/// over ceil(warmup_ratio * steps) steps, then constant, linear to 0, or half a cosine to 0.
double learning_rate_at(Options const& options, int64_t step, int64_t steps);

}  // namespace refrain::train
