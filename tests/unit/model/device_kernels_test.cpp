// The GPU's kernels, compiled for the CPU, against the CPU's own.
#include "cuda_on_cpu.hpp"
// After the stand-ins for CUDA that it is compiled with.
#include "cuda_flat_kernels.cu"
#include "cuda_kernels.cu"

#include "small_model.hpp"

#include <refrain/model/kernels.hpp>

#include "device_kernels.hpp"

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::model;
using model::testing::deviation;

namespace {

std::unique_ptr<kernels::DeviceKernels> const device = kernels::launched_kernels([] { return nullptr; });

/// One unit in the last place of bf16, where both sides round the same fp32 value in other places.
double tolerance(at::ScalarType type) { return type == at::kBFloat16 ? 8e-3 : 2e-6; }

at::Tensor values(std::vector<int64_t> const& shape, at::ScalarType type) { return at::randn(shape).to(type); }

}  // namespace

TEST_CASE("GPU kernels for rows give what the CPU's give") {
  at::manual_seed(3);
  auto const type = GENERATE(at::kFloat, at::kBFloat16);
  // Rows that are moved by 16 bytes, by elements, and in more than one turn of a block.
  auto const width = GENERATE(16, 6, 520);
  CAPTURE(type, width);
  at::Tensor const x = values({5, width}, type), weight = values({width}, type), dy = values({5, width}, type);

  auto const norm = kernels::rms_norm(x, weight, 1e-5), ours = device->rms_norm(x, weight, 1e-5);
  CHECK(ours.y_TD.scalar_type() == type);
  CHECK(deviation(ours.y_TD, norm.y_TD) < tolerance(type));
  CHECK(deviation(ours.scale_T, norm.scale_T) < 2e-6);
  CHECK(device->rms_norm_again(x, weight, ours.scale_T).equal(ours.y_TD));

  at::Tensor const grad = at::ones({width}), our_grad = at::ones({width});
  at::Tensor const dx = kernels::rms_norm_backward(dy, x, weight, norm.scale_T, grad);
  CHECK(deviation(device->rms_norm_backward(dy, x, weight, norm.scale_T, our_grad), dx) < tolerance(type));
  CHECK(deviation(our_grad, grad) < 2e-6);

  at::Tensor const gate_up = values({5, 2 * width}, type), ours_in_place = gate_up.clone();
  CHECK(deviation(device->swiglu(gate_up), kernels::swiglu(gate_up)) < tolerance(type));
  kernels::swiglu_backward(dy, gate_up);
  device->swiglu_backward(dy, ours_in_place);
  CHECK(deviation(ours_in_place, gate_up) < tolerance(type));
}

TEST_CASE("the GPU's weight gradient of RMSNorm adds more rows than it has blocks") {
  at::Tensor const x = at::randn({259, 8}), weight = at::randn({8}), dy = at::randn({259, 8});
  auto const norm = kernels::rms_norm(x, weight, 1e-5);
  at::Tensor const grad = at::zeros({8}), ours = at::zeros({8});
  kernels::rms_norm_backward(dy, x, weight, norm.scale_T, grad);
  device->rms_norm_backward(dy, x, weight, norm.scale_T, ours);
  CHECK(deviation(ours, grad) < 2e-6);
}

TEST_CASE("the GPU's rotation is the CPU's, and leaves the values alone") {
  auto const type = GENERATE(at::kFloat, at::kBFloat16);
  at::Tensor const x = values({7, 6 * 10}, type), ours = x.clone(), before = x.clone();
  at::Tensor const positions = at::arange(7, at::kLong).mul(3).remainder(20);
  auto const table = RotaryTable::make(at::randn({5}), 20);
  for (auto const direction : {kernels::Rotation::forward, kernels::Rotation::backward}) {
    kernels::rotate(x, 4, 10, positions, table.cos_PR, table.sin_PR, direction);
    device->rotate(ours, 4, 10, positions, table.cos_PR, table.sin_PR, direction);
    CHECK(deviation(ours, x) < tolerance(type));
    CHECK(ours.narrow(1, 40, 20).equal(before.narrow(1, 40, 20)));
  }
}

TEST_CASE("the GPU's softmax over a slice of the vocabulary is the CPU's") {
  at::Tensor const logits = at::randn({4, 301}) * 5;
  logits[1].fill_(2.);  // all equal: the lowest place wins
  logits[2][300] = 40.;
  logits[2][150] = 40.;
  at::Tensor const targets = at::tensor({7, 300, -3, 301}, at::kLong);
  auto const stats = [] {
    auto const empty = [] { return at::full({6}, 77.); };
    return kernels::RowStats{empty(), empty(), empty(), empty(), empty(), empty()};
  };
  auto const theirs = stats(), ours = stats();
  kernels::row_stats(logits, targets, 1, theirs);
  device->row_stats(logits, targets, 1, ours);
  CHECK(ours.max_N.equal(theirs.max_N));
  CHECK(ours.argmax_N.equal(theirs.argmax_N));
  CHECK(ours.target_N.equal(theirs.target_N));
  for (auto part : {&kernels::RowStats::sum_exp_N, &kernels::RowStats::sum_dot_N, &kernels::RowStats::sum_N})
    CHECK(deviation(ours.*part, theirs.*part) < 2e-6);

  at::Tensor const whole = at::logsumexp(logits, {1}), dlogp = at::randn({4}), ours_in_place = logits.clone();
  kernels::logits_to_gradient(logits, targets, whole, dlogp);
  device->logits_to_gradient(ours_in_place, targets, whole, dlogp);
  CHECK(deviation(ours_in_place, logits) < 4e-6);
}

TEST_CASE("the GPU's AdamW is torch's formula, and rounds the weights of the model") {
  auto const grad_type = GENERATE(at::kFloat, at::kBFloat16);
  at::Tensor const p = at::randn({1000}), m = at::randn({1000}), v = at::rand({1000});
  at::Tensor const grad = values({1000}, grad_type), weights = at::zeros({1000}, at::kBFloat16);
  kernels::AdamSettings const c{0.5F, 0.99F, 0.1F, 0.999F, 0.001F, 0.01F, 0.4F, 1e-8F};
  at::Tensor const g = grad.to(at::kFloat) * c.grad_scale;
  at::Tensor const mean = m + c.beta1_rest * (g - m), square = c.beta2 * v + c.beta2_rest * g * g;
  at::Tensor const expected = p * c.decay - c.step_size * mean / (square.sqrt() / c.correction2 + c.eps);
  device->adamw({p, m, v, grad, weights}, c);
  CHECK(deviation(p, expected) < 1e-6);
  CHECK(deviation(m, mean) < 1e-6);
  CHECK(deviation(v, square) < 1e-6);
  CHECK(weights.equal(p.to(at::kBFloat16)));

  at::Tensor const alone = p.clone();
  device->adamw({alone, m.clone(), v.clone(), grad, at::Tensor()}, c);
  device->adamw({p, m, v, grad, p}, c);
  CHECK(alone.equal(p));
}

TEST_CASE("the GPU's sum of squares is in fp64") {
  at::Tensor const x = at::randn({70001}) * 1e3;
  CHECK(deviation(device->sum_of_squares(x), x.to(at::kDouble).square().sum()) < 1e-12);
  CHECK(device->sum_of_squares(at::empty({0})).item<double>() == 0);
}

TEST_CASE("GPU tensors without GPU kernels are an error") {
  CHECK_THROWS_AS(kernels::device_kernels(), Error);
}
