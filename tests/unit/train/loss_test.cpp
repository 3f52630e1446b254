#include <refrain/train/loss.hpp>
#include <refrain/train/schedule.hpp>

#include <catch2/catch.hpp>

#include <cmath>

using namespace refrain::train;

namespace {

Options options_for(Loss loss) {
  Options options;
  options.loss = loss;
  options.beta = 0.3;
  if (loss == Loss::robust) options.label_smoothing = 0.1;
  return options;
}

PairLogps const logps{.chosen = -40,
                      .rejected = -55,
                      .reference_chosen = -42,
                      .reference_rejected = -54.5,
                      .chosen_tokens = 12,
                      .rejected_tokens = 17};
Denominators const denominators{.pairs = 8, .chosen_tokens = 90};

double loss_at(Options const& options, double chosen, double rejected) {
  PairLogps moved = logps;
  moved.chosen = chosen;
  moved.rejected = rejected;
  return pair_loss(options, moved, denominators).loss;
}

}  // namespace

TEST_CASE("derivatives are those of the loss") {
  auto const loss = GENERATE(Loss::sigmoid, Loss::ipo, Loss::hinge, Loss::robust, Loss::sft);
  auto const weight = GENERATE(0.0, 0.7);
  Options options = options_for(loss);
  if (loss != Loss::sft) options.sft_weight = weight;
  constexpr double step = 1e-5;
  auto const result = pair_loss(options, logps, denominators);
  double const by_chosen =
      (loss_at(options, logps.chosen + step, logps.rejected) - loss_at(options, logps.chosen - step, logps.rejected)) /
      (2 * step);
  double const by_rejected =
      (loss_at(options, logps.chosen, logps.rejected + step) - loss_at(options, logps.chosen, logps.rejected - step)) /
      (2 * step);
  REQUIRE(result.by_chosen == Approx(by_chosen).epsilon(1e-6).margin(1e-9));
  REQUIRE(result.by_rejected == Approx(by_rejected).epsilon(1e-6).margin(1e-9));
}

TEST_CASE("losses have the values of their formulas") {
  double const delta = (-40 + 42) - (-55 + 54.5), x = 0.3 * delta;
  double const log_sigmoid = -std::log1p(std::exp(-x)), log_sigmoid_of_minus = -std::log1p(std::exp(x));
  REQUIRE(pair_loss(options_for(Loss::sigmoid), logps, denominators).loss == Approx(-log_sigmoid / 8));
  REQUIRE(pair_loss(options_for(Loss::hinge), logps, denominators).loss == Approx((1 - x) / 8));
  REQUIRE(pair_loss(options_for(Loss::robust), logps, denominators).loss ==
          Approx((-0.9 * log_sigmoid + 0.1 * log_sigmoid_of_minus) / 0.8 / 8));
  double const per_token = 2.0 / 12 + 0.5 / 17 - 1 / 0.6;
  REQUIRE(pair_loss(options_for(Loss::ipo), logps, denominators).loss == Approx(per_token * per_token / 8));
  REQUIRE(pair_loss(options_for(Loss::sft), logps, denominators).loss == Approx(40.0 / 90));
}

TEST_CASE("far from zero nothing overflows") {
  PairLogps far = logps;
  far.chosen = -1e5;
  auto const bad = pair_loss(options_for(Loss::sigmoid), far, {});
  REQUIRE(std::isfinite(bad.loss));
  REQUIRE(bad.by_chosen == Approx(-0.3));
  far.chosen = 1e5;
  auto const good = pair_loss(options_for(Loss::sigmoid), far, {});
  REQUIRE(good.loss == 0);
  REQUIRE(good.by_chosen == 0);
}

TEST_CASE("the first loss is known") {
  PairLogps same{.chosen = -40,
                 .rejected = -55,
                 .reference_chosen = -40,
                 .reference_rejected = -55,
                 .chosen_tokens = 12,
                 .rejected_tokens = 17};
  for (Loss const loss : {Loss::sigmoid, Loss::ipo, Loss::hinge, Loss::robust}) {
    Options options = options_for(loss);
    options.sft_weight = 0.25;
    REQUIRE(pair_loss(options, same, {.pairs = 1, .chosen_tokens = 12}).loss ==
            Approx(initial_loss(options, 40.0 / 12)));
  }
}

TEST_CASE("learning rates follow transformers' schedules") {
  Options options;
  options.learning_rate = 2;
  options.warmup_ratio = 0.3;  // ceil(3) of 10 steps
  REQUIRE(learning_rate_at(options, 0, 10) == 0);
  REQUIRE(learning_rate_at(options, 2, 10) == Approx(2 * 2.0 / 3));
  REQUIRE(learning_rate_at(options, 3, 10) == Approx(2));
  REQUIRE(learning_rate_at(options, 9, 10) == Approx(2 * 1.0 / 7));
  options.lr_schedule = Schedule::cosine;
  REQUIRE(learning_rate_at(options, 6, 10) == Approx(1 + std::cos(M_PI * 3 / 7)));
  options.lr_schedule = Schedule::constant;
  REQUIRE(learning_rate_at(options, 9, 10) == 2);
  options.warmup_ratio = 0;
  options.lr_schedule = Schedule::linear;
  REQUIRE(learning_rate_at(options, 0, 10) == 2);
}
