#include "small_model.hpp"

#include <refrain/model/autograd.hpp>
#include <refrain/model/kernels.hpp>
#include <refrain/model/ops.hpp>

#include <ATen/Parallel.h>

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <numbers>

using namespace refrain;
using namespace refrain::model;
using model::testing::deviation;
using model::testing::OneRank;

namespace {

// y and dx of `ours` in fp32 against those of `plain`, a composition of libtorch's operators, in fp64.
template <class Ours, class Plain>
void compare_with_plain(at::Tensor const& x, Ours const& ours, Plain const& plain, double tolerance = 2e-6) {
  at::Tensor const ours_x = x.clone().requires_grad_(true), plain_x = x.to(at::kDouble).requires_grad_(true);
  // A step away from the leaf, as some operations overwrite their input.
  at::Tensor const ours_y = ours(ours_x + 0), plain_y = plain(plain_x);
  CHECK(deviation(ours_y.detach(), plain_y.detach()) < tolerance);
  at::Tensor const dy = at::randn(ours_y.sizes());
  at::Tensor const ours_dx = backpropagate(ours_y, ours_x, dy),
                   plain_dx = backpropagate(plain_y, plain_x, dy.to(at::kDouble));
  CHECK(deviation(ours_dx, plain_dx) < tolerance);
}

at::Tensor leaf_of(at::Tensor const& weight) { return weight.to(at::kDouble).requires_grad_(true); }

// What autograd left at a leaf.
double grad_deviation(at::Tensor const& main_grad, at::Tensor const& leaf) { return deviation(main_grad, leaf.grad()); }

}  // namespace

TEST_CASE("linear multiplies by fused matrices and adds to their gradients") {
  OneRank model;
  ParamId const q = model.store.id("model.layers.1.self_attn.q_proj.weight");
  at::Tensor const w = leaf_of(model.store.fused_weight(q, 3)), x = at::randn({9, 16});
  compare_with_plain(
      x, [&](at::Tensor const& x) { return linear(x, model.store, {q, 3}); },
      [&](at::Tensor const& x) { return x.matmul(w.t()); });

  at::Tensor const dy = at::randn({9, (4 + 2 * 2) * 8});
  model.store.zero_grads();
  for (int i = 0; i < 2; ++i) {
    at::Tensor const leaf = x.clone().requires_grad_(true);
    backpropagate(linear(leaf, model.store, {q, 3}), leaf, dy);
  }
  CHECK(deviation(model.store.fused_grad(q, 3), 2 * dy.to(at::kDouble).t().matmul(x.to(at::kDouble))) < 2e-6);
  CHECK(model.store.main_grad(q + 1).equal(model.store.fused_grad(q, 3).narrow(0, 32, 16)));
}

TEST_CASE("an operation makes its input again instead of keeping it") {
  OneRank model;
  at::Tensor const x = at::randn({5, 16}).requires_grad_(true);
  Again again;
  at::Tensor const y = rms_norm(x, model.store, model.store.id("model.norm.weight"), &again);
  CHECK(again().equal(y.detach()));
  for (Remember const remember : {Remember::keep, Remember::remake}) {
    Again of_y = again, of_z;
    at::Tensor const z = swiglu_linear(y, model.store, {model.store.id("model.layers.0.mlp.gate_proj.weight"), 2},
                                       std::move(of_y), remember, &of_z);
    CHECK(of_z().equal(z.detach()));
  }
}

TEST_CASE("rms_norm") {
  OneRank model;
  ParamId const id = model.store.id("model.norm.weight");
  at::Tensor const w = leaf_of(model.store.weight(id));
  auto const plain = [&](at::Tensor const& x) {
    return x * (x.square().mean(-1, true) + model.store.config().rms_norm_eps).rsqrt() * w;
  };
  at::Tensor const x = at::randn({131, 16});
  compare_with_plain(x, [&](at::Tensor const& x) { return rms_norm(x, model.store, id); }, plain);
  at::Tensor const dy = at::randn({131, 16}), leaf = x.clone().requires_grad_(true);
  model.store.zero_grads();
  backpropagate(rms_norm(leaf, model.store, id), leaf, dy);
  plain(x.to(at::kDouble)).backward(dy.to(at::kDouble));
  CHECK(grad_deviation(model.store.main_grad(id), w) < 2e-6);
}

TEST_CASE("rms_norm's gradients have the same bits at every number of threads") {
  at::Tensor const x = at::randn({3000, 320}), dy = at::randn({3000, 320}), weight = at::randn({320});
  at::Tensor const scale = kernels::rms_norm(x, weight, 1e-5).scale_T;
  int const before = at::get_num_threads();
  at::Tensor first_dx, first_grad;
  for (int const threads : {1, 2, 3, 7}) {
    at::set_num_threads(threads);
    at::Tensor const grad = at::zeros({320});
    at::Tensor const dx = kernels::rms_norm_backward(dy, x, weight, scale, grad);
    if (threads == 1) first_dx = dx, first_grad = grad;
    CHECK(dx.equal(first_dx));
    CHECK(grad.equal(first_grad));
  }
  at::set_num_threads(before);
  at::Tensor const normed = x.to(at::kDouble) * scale.to(at::kDouble).unsqueeze(1);
  CHECK(deviation(first_grad, (dy.to(at::kDouble) * normed).sum(0)) < 1e-6);
}

TEST_CASE("swiglu_linear, its product kept or made again") {
  OneRank model;
  ParamId const gate = model.store.id("model.layers.0.mlp.gate_proj.weight");
  at::Tensor const w = leaf_of(model.store.fused_weight(gate, 2));
  at::Tensor const x = at::randn({70, 16}) * 4, dy = at::randn({70, 20});
  auto const plain = [&](at::Tensor const& x) {
    auto const halves = x.matmul(w.t()).chunk(2, 1);
    return at::silu(halves[0]) * halves[1];
  };
  plain(x.to(at::kDouble)).backward(dy.to(at::kDouble));
  std::vector<at::Tensor> slopes;
  for (Remember const remember : {Remember::keep, Remember::remake}) {
    auto const ours = [&](at::Tensor const& input) {
      Again again;
      return swiglu_linear(input, model.store, {gate, 2}, [input] { return input.detach(); }, remember, &again);
    };
    compare_with_plain(x, ours, plain);
    model.store.zero_grads();
    at::Tensor const leaf = x.clone().requires_grad_(true);
    slopes.push_back(backpropagate(ours(leaf), leaf, dy));
    CHECK(grad_deviation(model.store.fused_grad(gate, 2), w) < 2e-6);
  }
  CHECK(slopes[0].equal(slopes[1]));
}

TEST_CASE("swiglu far out, where exp overflows or vanishes") {
  at::Tensor const ends = at::tensor({-200.F, 200.F, -87.F, 0.F, 1.F, 1.F, 1.F, 1.F}).view({1, 8});
  CHECK(deviation(kernels::swiglu(ends), at::silu(ends.narrow(1, 0, 4))) < 1e-6);
}

TEST_CASE("attention sees a segment up to itself, and all of its prefix") {
  HeadShape const shape{4, 2, 8};
  PackedBatch batch;
  // An answer alone; a prompt with a first answer; a second answer that sees the prompt (tokens 5 to 8).
  batch.segments = {{0, 5, 0, 0}, {5, 7, 0, 0}, {12, 4, 5, 4}};
  batch.positions_T = at::tensor({0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7}, at::kLong);
  at::Tensor visible_TT = at::zeros({16, 16}, at::kBool);
  for (auto const& s : batch.segments) {
    visible_TT.slice(0, s.begin, s.begin + s.length).slice(1, s.begin, s.begin + s.length) =
        at::ones({s.length, s.length}, at::kBool).tril();
    visible_TT.slice(0, s.begin, s.begin + s.length).slice(1, s.prefix_begin, s.prefix_begin + s.prefix_length) = true;
  }
  checkpoint::ModelConfig const config = model::testing::small_config();
  RotaryTable const rotary = RotaryTable::make(rotary_frequencies(config), 16);
  auto const plain = [&](at::Tensor const& qkv) {
    at::Tensor const cos = rotary.cos_PR.index_select(0, batch.positions_T).to(at::kDouble).unsqueeze(1);
    at::Tensor const sin = rotary.sin_PR.index_select(0, batch.positions_T).to(at::kDouble).unsqueeze(1);
    auto const rotated = [&](at::Tensor const& x_THD) {
      auto const halves = x_THD.chunk(2, 2);
      return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, 2);
    };
    at::Tensor const heads = qkv.view({16, 8, 8});
    at::Tensor const q = rotated(heads.narrow(1, 0, 4)).transpose(0, 1);
    at::Tensor const k = rotated(heads.narrow(1, 4, 2)).repeat_interleave(2, 1).transpose(0, 1);
    at::Tensor const v = heads.narrow(1, 6, 2).repeat_interleave(2, 1).transpose(0, 1);
    at::Tensor const scores =
        (q.matmul(k.transpose(1, 2)) / std::sqrt(8.)).masked_fill(visible_TT.logical_not(), -1e30);
    return scores.softmax(-1).matmul(v).transpose(0, 1).reshape({16, 32});
  };
  compare_with_plain(
      at::randn({16, 64}), [&](at::Tensor const& x) { return attention(x, shape, batch, rotary); }, plain, 5e-6);
}

TEST_CASE("rotary frequencies follow the scaling's rule") {
  checkpoint::ModelConfig config = model::testing::small_config();
  config.head_dim = 64;
  config.rope_theta = 500000;
  at::Tensor const plain = rotary_frequencies(config);
  CHECK(deviation(plain, at::pow(500000., -at::arange(0, 64, 2, at::kDouble) / 64.)) < 1e-6);
  config.rope_scaling = {.type = checkpoint::RopeScaling::Type::linear, .factor = 4};
  CHECK(deviation(rotary_frequencies(config) * 4, plain) < 1e-6);
  config.rope_scaling = {.type = checkpoint::RopeScaling::Type::llama3,
                         .factor = 8,
                         .low_freq_factor = 1,
                         .high_freq_factor = 4,
                         .original_max_position_embeddings = 8192};
  at::Tensor const scaled = rotary_frequencies(config);
  for (int64_t j = 0; j < 32; ++j) {
    double const frequency = plain[j].item<double>(), wave = 2 * std::numbers::pi / frequency;
    double const smooth = (8192 / wave - 1) / 3;
    double const expected = wave > 8192   ? frequency / 8
                            : wave < 2048 ? frequency
                                          : (1 - smooth) * frequency / 8 + smooth * frequency;
    CHECK(scaled[j].item<double>() == Approx(expected).epsilon(1e-5));
  }
}

TEST_CASE("all_finite finds one bad value anywhere") {
  for (at::ScalarType const type : {at::kFloat, at::kBFloat16}) {
    at::Tensor const values = at::randn({3, 70001}).to(type);
    CHECK(kernels::all_finite(values));
    for (int64_t const place : {0, 65536, 210002}) {
      for (float const bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity()}) {
        at::Tensor const spoiled = values.clone();
        spoiled.view({-1})[place] = bad;
        CHECK_FALSE(kernels::all_finite(spoiled));
      }
    }
  }
}
