#include <refrain/train/schedule.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace refrain::train {

double learning_rate_at(Options const& options, int64_t step, int64_t steps) {
  auto const warmup = static_cast<int64_t>(std::ceil(static_cast<double>(steps) * options.warmup_ratio));
  if (step < warmup)
    return options.learning_rate * (static_cast<double>(step) / static_cast<double>(std::max<int64_t>(1, warmup)));
  double const progress =
      static_cast<double>(step - warmup) / static_cast<double>(std::max<int64_t>(1, steps - warmup));
  switch (options.lr_schedule) {
    case Schedule::linear: return options.learning_rate * std::max(0.0, 1.0 - progress);
    case Schedule::cosine:
      return options.learning_rate * std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
    case Schedule::constant: break;
  }
  return options.learning_rate;
}

}  // namespace refrain::train
