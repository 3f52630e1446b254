// Kernels, products and attention on a GPU against the CPU's.
#include "device.hpp"
#include "small_model.hpp"

#include <refrain/model/autograd.hpp>
#include <refrain/model/kernels.hpp>
#include <refrain/model/ops.hpp>
#include <refrain/model/products.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::model;
using model::testing::deviation;
using model::testing::on_cpu;
using model::testing::on_gpu;

namespace {

/// A unit in the last place of bf16 where the same fp32 value is rounded on both sides.
double tolerance(at::ScalarType type) { return type == at::kBFloat16 ? 8e-3 : 4e-6; }

at::Tensor values(std::vector<int64_t> const& shape, at::ScalarType type) { return at::randn(shape).to(type); }

}  // namespace

TEST_CASE("norms, rotation and SwiGLU at the widths of 70B and at odd ones") {
  at::manual_seed(3);
  auto const type = GENERATE(at::kFloat, at::kBFloat16);
  auto const width = GENERATE(8192, 8191, 28672 / 8, 16);
  CAPTURE(type, width);
  at::Tensor const x = values({300, width}, type), weight = values({width}, type), dy = values({300, width}, type);
  auto const norm = kernels::rms_norm(x, weight, 1e-5), ours = kernels::rms_norm(on_gpu(x), on_gpu(weight), 1e-5);
  CHECK(deviation(on_cpu(ours.y_TD), norm.y_TD) < tolerance(type));
  CHECK(deviation(on_cpu(ours.scale_T), norm.scale_T) < 4e-6);
  CHECK(kernels::rms_norm_again(on_gpu(x), on_gpu(weight), ours.scale_T).equal(ours.y_TD));
  at::Tensor const grad = at::zeros({width}), our_grad = on_gpu(at::zeros({width}));
  at::Tensor const dx = kernels::rms_norm_backward(dy, x, weight, norm.scale_T, grad);
  at::Tensor const our_dx = kernels::rms_norm_backward(on_gpu(dy), on_gpu(x), on_gpu(weight), ours.scale_T, our_grad);
  CHECK(deviation(on_cpu(our_dx), dx) < tolerance(type));
  CHECK(deviation(on_cpu(our_grad), grad) < 2e-5);

  at::Tensor const gate_up = values({300, 2 * width}, type), our_gate_up = on_gpu(gate_up);
  CHECK(deviation(on_cpu(kernels::swiglu(our_gate_up)), kernels::swiglu(gate_up)) < tolerance(type));
  kernels::swiglu_backward(dy, gate_up);
  kernels::swiglu_backward(on_gpu(dy), our_gate_up);
  CHECK(deviation(on_cpu(our_gate_up), gate_up) < tolerance(type));

  if (width % 16 != 0) return;
  at::Tensor const positions = at::arange(300, at::kLong).mul(7).remainder(512);
  auto const table = RotaryTable::make(at::rand({8}), 512);
  at::Tensor const turned = x.clone(), our_turned = on_gpu(x);
  kernels::rotate(turned, width / 16, 16, positions, table.cos_PR, table.sin_PR, kernels::Rotation::backward);
  kernels::rotate(our_turned, width / 16, 16, on_gpu(positions), on_gpu(table.cos_PR), on_gpu(table.sin_PR),
                  kernels::Rotation::backward);
  CHECK(deviation(on_cpu(our_turned), turned) < tolerance(type));
}

TEST_CASE("the softmax over a vocabulary of 128k") {
  at::Tensor const logits = at::randn({37, 128256}) * 4, targets = at::arange(37, at::kLong).mul(4001);
  targets[3] = -1;
  auto const stats = [](at::Device device) {
    auto const empty = [&] { return at::zeros({40}, at::TensorOptions(device).dtype(at::kFloat)); };
    return kernels::RowStats{empty(), empty(), empty(), empty(), empty(), empty()};
  };
  auto const theirs = stats(at::kCPU), ours = stats(model::testing::gpu().device());
  kernels::row_stats(logits, targets, 2, theirs);
  kernels::row_stats(on_gpu(logits), on_gpu(targets), 2, ours);
  CHECK(on_cpu(ours.max_N).equal(theirs.max_N));
  CHECK(on_cpu(ours.argmax_N).equal(theirs.argmax_N));
  CHECK(on_cpu(ours.target_N).equal(theirs.target_N));
  for (auto part : {&kernels::RowStats::sum_exp_N, &kernels::RowStats::sum_dot_N, &kernels::RowStats::sum_N})
    CHECK(deviation(on_cpu(ours.*part), theirs.*part) < 1e-5);
  at::Tensor const whole = at::logsumexp(logits, {1}), dlogp = at::randn({37}), our_logits = on_gpu(logits);
  kernels::logits_to_gradient(logits, targets, whole, dlogp);
  kernels::logits_to_gradient(our_logits, on_gpu(targets), on_gpu(whole), on_gpu(dlogp));
  CHECK(deviation(on_cpu(our_logits), logits) < 1e-5);
}

TEST_CASE("AdamW and the sum of squares") {
  at::Tensor const p = at::randn({1000003}), m = at::randn({1000003}), v = at::rand({1000003}),
                   g = at::randn({1000003});
  kernels::AdamSettings const c{0.5F, 0.99F, 0.1F, 0.999F, 0.001F, 0.01F, 0.4F, 1e-8F};
  at::Tensor const grad = g * c.grad_scale, mean = m + c.beta1_rest * (grad - m),
                   square = c.beta2 * v + c.beta2_rest * grad * grad;
  at::Tensor const expected = p * c.decay - c.step_size * mean / (square.sqrt() / c.correction2 + c.eps);
  at::Tensor const ours = on_gpu(p), weights = on_gpu(at::zeros({1000003}, at::kBFloat16));
  kernels::adamw({ours, on_gpu(m), on_gpu(v), on_gpu(g), weights}, c);
  CHECK(deviation(on_cpu(ours), expected) < 1e-6);
  CHECK(weights.equal(ours.to(at::kBFloat16)));
  CHECK(deviation(on_cpu(kernels::sum_of_squares(on_gpu(g))), g.to(at::kDouble).square().sum()) < 1e-12);
  CHECK(kernels::all_finite(ours));
  ours[77] = std::numeric_limits<float>::infinity();
  CHECK_FALSE(kernels::all_finite(ours));
}

TEST_CASE("products are in bf16 with sums in fp32, gradients are added up in fp32") {
  at::Tensor const x = values({512, 1024}, at::kBFloat16), w = values({768, 1024}, at::kBFloat16),
                   dy = values({512, 768}, at::kBFloat16);
  CHECK(deviation(on_cpu(times_transposed(on_gpu(x), on_gpu(w))), times_transposed(x, w)) < 8e-3);
  CHECK(deviation(on_cpu(times(on_gpu(dy), on_gpu(w))), times(dy, w)) < 8e-3);
  for (auto const type : {at::kFloat, at::kBFloat16}) {
    at::Tensor const grad = at::ones({768, 1024}, type), ours = on_gpu(grad);
    void const* const memory = ours.data_ptr();
    add_outer_product(grad, dy, x);
    add_outer_product(ours, on_gpu(dy), on_gpu(x));
    CHECK(ours.data_ptr() == memory);
    CHECK(deviation(on_cpu(ours), grad) < (type == at::kFloat ? 1e-5 : 8e-3));
  }
  at::Tensor const logits = at::empty({512, 768}), ours = on_gpu(logits);
  logits_of(logits, x, w);
  logits_of(ours, on_gpu(x), on_gpu(w));
  CHECK(deviation(on_cpu(ours), logits) < 1e-5);
}

TEST_CASE("flash attention sees what segments say: plain, with shared prompts, with an empty answer") {
  at::manual_seed(5);
  HeadShape const shape{8, 2, 64};
  auto const rotary = RotaryTable::make(at::linspace(1, 0.01, 32), 512);
  RotaryTable const our_rotary{on_gpu(rotary.cos_PR), on_gpu(rotary.sin_PR)};
  std::vector<std::vector<Segment>> const cases{
      {{0, 130, 0, 0}, {130, 1, 0, 0}, {131, 77, 0, 0}},
      {{0, 190, 0, 0}, {190, 64, 0, 100}, {254, 33, 0, 0}, {287, 0, 254, 20}, {287, 129, 254, 3}, {416, 2, 0, 0}}};
  for (auto const& segments : cases) {
    PackedBatch batch;
    batch.segments = segments;
    std::vector<int64_t> positions;
    for (Segment const& segment : segments)
      for (int32_t i = 0; i < segment.length; ++i) positions.push_back(segment.prefix_length + i);
    batch.positions_T = at::tensor(positions, at::kLong);
    batch.tokens_T = at::zeros_like(batch.positions_T);
    auto const tokens = static_cast<int64_t>(positions.size());
    at::Tensor const qkv = values({tokens, 12 * 64}, at::kBFloat16), dy = values({tokens, 8 * 64}, at::kBFloat16);
    auto const run = [&](at::Tensor const& qkv, at::Tensor const& dy, PackedBatch const& batch,
                         RotaryTable const& table) {
      at::Tensor const leaf = qkv.clone().requires_grad_(true);
      at::Tensor const y = attention(leaf + 0, shape, batch, table);
      return std::pair(y.detach(), backpropagate(y, leaf, dy));
    };
    // The CPU computes from the same bf16 values in fp32.
    auto const [y, dqkv] = run(qkv.to(at::kFloat), dy.to(at::kFloat), batch, rotary);
    auto const [our_y, our_dqkv] = run(on_gpu(qkv), on_gpu(dy), batch.on(model::testing::gpu().device()), our_rotary);
    CHECK(deviation(on_cpu(our_y), y) < 2e-2);
    CHECK(deviation(on_cpu(our_dqkv), dqkv) < 3e-2);
  }
}

TEST_CASE("a GPU that is full says so in one line, and peak memory is counted") {
  auto& gpu = model::testing::gpu();
  int64_t const before = gpu.peak_memory();
  at::Tensor const held = at::zeros({64 << 20}, at::TensorOptions(gpu.device()).dtype(at::kFloat));
  CHECK(gpu.peak_memory() >= before);
  CHECK(gpu.peak_memory() >= (int64_t{256} << 20));
  CHECK_THROWS_AS(at::empty({int64_t{1} << 40}, at::TensorOptions(gpu.device()).dtype(at::kFloat)),
                  c10::OutOfMemoryError);
}
