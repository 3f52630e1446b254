// Prints the learning rate of every step, for comparison with other implementations. Not installed.
//
//     learning-rates SCHEDULE LEARNING_RATE WARMUP_RATIO STEPS
#include <refrain/train/schedule.hpp>

#include <cstdio>
#include <string>

int main(int count, char** words) {
  using namespace refrain;
  if (count != 5) return 2;
  train::Options options;
  for (auto const& choice : EnumChoices<train::Schedule>::choices)
    if (choice.name == std::string(words[1])) options.lr_schedule = choice.value;
  options.learning_rate = std::stod(words[2]);
  options.warmup_ratio = std::stod(words[3]);
  int64_t const steps = std::stol(words[4]);
  for (int64_t step = 0; step < steps; ++step) std::printf("%.17g\n", train::learning_rate_at(options, step, steps));
}
