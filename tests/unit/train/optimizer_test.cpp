#include "small_model.hpp"

#include <refrain/train/optimizer.hpp>

#include <catch2/catch.hpp>

#include <cmath>

using namespace refrain;
using namespace refrain::train;

namespace {

/// A model of one rank, its master weights and gradients drawn at random.
struct Fixture : model::testing::OneRank {
  Optimizer optimizer{store};

  explicit Fixture(DType weights) : OneRank(model::testing::small_config(), weights) {
    for (auto const& spec : store.specs()) {
      part(optimizer.master(spec.info.unit), spec).normal_();
      part(store.flat_grads(spec.info.unit), spec).normal_();
    }
    optimizer.publish();
  }
  static at::Tensor part(at::Tensor const& flat, model::ParamSpec const& spec) {
    return flat.narrow(0, spec.offset, spec.local_count());
  }
};

}  // namespace

TEST_CASE("steps follow torch.optim.AdamW's formula") {
  Fixture model(DType::fp32);
  std::vector<at::Tensor> p, m, v;
  for (auto const& spec : model.store.specs()) {
    p.push_back(Fixture::part(model.optimizer.master(spec.info.unit), spec).to(at::kDouble).clone());
    m.push_back(at::zeros_like(p.back()));
    v.push_back(at::zeros_like(p.back()));
  }
  constexpr double rate = 0.03, decay = 0.1, scale = 0.4;
  for (int step = 1; step <= 3; ++step) {
    model.optimizer.step({.number = step, .learning_rate = rate, .weight_decay = decay, .grad_scale = scale});
    for (std::size_t i = 0; i < p.size(); ++i) {
      auto const& spec = model.store.specs()[i];
      at::Tensor const g = Fixture::part(model.store.flat_grads(spec.info.unit), spec).to(at::kDouble) * scale;
      if (spec.info.shape.size() > 1) p[i].mul_(1 - rate * decay);
      m[i].mul_(0.9).add_(g, 0.1);
      v[i].mul_(0.999).addcmul_(g, g, 0.001);
      p[i].addcdiv_(m[i], (v[i].sqrt() / std::sqrt(1 - std::pow(0.999, step))).add_(1e-8),
                    -rate / (1 - std::pow(0.9, step)));
      at::Tensor const mine = Fixture::part(model.optimizer.master(spec.info.unit), spec).to(at::kDouble);
      REQUIRE((mine - p[i]).abs().max().item<double>() < 1e-6);
    }
  }
}

TEST_CASE("the gradient's norm is over all parameters") {
  Fixture model(DType::fp32);
  double sum = 0;
  for (int unit = 0; unit < model.store.units(); ++unit)
    sum += model.store.flat_grads(unit).to(at::kDouble).pow(2).sum().item<double>();
  REQUIRE(model.optimizer.grad_norm() == Approx(std::sqrt(sum)).epsilon(1e-12));
}

TEST_CASE("bf16 weights are the master values rounded, and small steps are not lost") {
  Fixture model(DType::bf16);
  at::Tensor const before = model.optimizer.master(1).clone();
  for (int step = 1; step <= 20; ++step) model.optimizer.step({.number = step, .learning_rate = 1e-5});
  at::Tensor const moved = (model.optimizer.master(1) - before).abs();
  REQUIRE(moved.max().item<double>() == Approx(2e-4).epsilon(0.05));
  REQUIRE(model.store.flat_weights(1).equal(model.optimizer.master(1).to(at::kBFloat16)));
}

TEST_CASE("clipping is torch's") {
  REQUIRE(clip_factor(0.5, 1) == 1);
  REQUIRE(clip_factor(4, 1) == Approx(1 / (4 + 1e-6)).epsilon(1e-12));
  REQUIRE(clip_factor(4, 0) == 1);
}
