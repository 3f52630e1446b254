// Adapters beside frozen weights, against a composition of libtorch's operators in fp64.
#include "small_model.hpp"

#include <refrain/model/autograd.hpp>
#include <refrain/model/ops.hpp>
#include <refrain/model/slices.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::model;
using model::testing::deviation;
using model::testing::OneRank;
using model::testing::packed;
using model::testing::small_config;

namespace {

checkpoint::AdapterConfig adapter_on(std::vector<std::string> targets, bool rslora = false) {
  return {.rank = 3, .alpha = 5, .targets = std::move(targets), .rslora = rslora};
}

OneRank adapted(checkpoint::AdapterConfig const& adapter) {
  return OneRank(small_config(), DType::fp32, DType::fp32, adapter);
}

at::Tensor leaf_of(at::Tensor const& weight) { return weight.to(at::kDouble).requires_grad_(true); }

// x W^T + scale (x A^T) B^T of each matrix, side by side; the adapter's matrices as leaves.
struct Plain {
  std::vector<at::Tensor> w, a, b;
  double scale;

  Plain(OneRank const& model, std::vector<std::string> const& matrices) {
    scale = model.store.options().adapter->scale();
    for (auto const& name : matrices) {
      w.push_back(model.store.weight(model.store.id(name)).to(at::kDouble));
      bool const has = model.store.layout().find(checkpoint::lora_a_name(name)).has_value();
      a.push_back(has ? leaf_of(model.store.weight(model.store.id(checkpoint::lora_a_name(name)))) : at::Tensor());
      b.push_back(has ? leaf_of(model.store.weight(model.store.id(checkpoint::lora_b_name(name)))) : at::Tensor());
    }
  }
  at::Tensor operator()(at::Tensor const& x) const {
    std::vector<at::Tensor> columns;
    for (std::size_t i = 0; i < w.size(); ++i) {
      columns.push_back(x.matmul(w[i].t()));
      if (a[i].defined()) columns.back() = columns.back() + scale * x.matmul(a[i].t()).matmul(b[i].t());
    }
    return at::cat(columns, 1);
  }
};

void check_adapter_gradients(OneRank const& model, Plain const& plain, std::vector<std::string> const& matrices) {
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    if (!plain.a[i].defined()) continue;
    INFO(matrices[i]);
    auto const grad = [&](std::string const& name) { return model.store.main_grad(model.store.id(name)); };
    CHECK(deviation(grad(checkpoint::lora_a_name(matrices[i])), plain.a[i].grad()) < 2e-6);
    CHECK(deviation(grad(checkpoint::lora_b_name(matrices[i])), plain.b[i].grad()) < 2e-6);
  }
}

std::string const block = "model.layers.1.";

}  // namespace

TEST_CASE("a projection with adapters on some or all of its matrices") {
  auto const targets = GENERATE(std::vector<std::string>{"q_proj", "v_proj"}, std::vector<std::string>{"k_proj"},
                                checkpoint::adapter_targets());
  bool const rslora = GENERATE(false, true);
  OneRank model = adapted(adapter_on(targets, rslora));
  std::vector<std::string> const matrices{block + "self_attn.q_proj.weight", block + "self_attn.k_proj.weight",
                                          block + "self_attn.v_proj.weight"};
  Plain const plain(model, matrices);
  Projection const projection = projection_of(model.store, model.store.id(matrices[0]), 3);
  REQUIRE(projection.lora);
  CHECK(projection.lora->parts.size() == std::min<std::size_t>(3, targets.size()));

  at::Tensor const x = at::randn({9, 16}), dy = at::randn({9, (4 + 2 * 2) * 8});
  at::Tensor const leaf = x.clone().requires_grad_(true), exact_leaf = leaf_of(x);
  model.store.zero_grads();
  at::Tensor const y = linear(leaf, model.store, projection), exact = plain(exact_leaf);
  CHECK(deviation(y.detach(), exact.detach()) < 2e-6);
  at::Tensor const dx = backpropagate(y, leaf, dy);
  exact.backward(dy.to(at::kDouble));
  CHECK(deviation(dx, exact_leaf.grad()) < 2e-6);
  check_adapter_gradients(model, plain, matrices);
  CHECK_FALSE(model.store.main_grad(model.store.id(matrices[0])).defined());
}

TEST_CASE("swiglu with adapters, its product kept or made again") {
  auto const targets = GENERATE(std::vector<std::string>{"up_proj"}, checkpoint::adapter_targets());
  Remember const remember = GENERATE(Remember::keep, Remember::remake);
  OneRank model = adapted(adapter_on(targets));
  std::vector<std::string> const matrices{block + "mlp.gate_proj.weight", block + "mlp.up_proj.weight"};
  Plain const plain(model, matrices);
  at::Tensor const x = at::randn({70, 16}), dy = at::randn({70, 20});
  at::Tensor const leaf = x.clone().requires_grad_(true), exact_leaf = leaf_of(x);
  model.store.zero_grads();
  Again again;
  at::Tensor const y = swiglu_linear(
      leaf, model.store, projection_of(model.store, model.store.id(matrices[0]), 2), [leaf] { return leaf.detach(); },
      remember, &again);
  auto const halves = plain(exact_leaf).chunk(2, 1);
  at::Tensor const exact = at::silu(halves[0]) * halves[1];
  CHECK(deviation(y.detach(), exact.detach()) < 2e-6);
  at::Tensor const dx = backpropagate(y, leaf, dy);
  exact.backward(dy.to(at::kDouble));
  CHECK(deviation(dx, exact_leaf.grad()) < 2e-6);
  check_adapter_gradients(model, plain, matrices);
}

TEST_CASE("frozen units have weights alone, and an adapter's A's of one product lie side by side") {
  OneRank const model = adapted(adapter_on({"q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"}));
  ParameterLayout const& layout = model.store.layout();
  CHECK(layout.model_units() == 4);
  CHECK(layout.units() == 6);
  CHECK(layout.first_trained() == 4);
  CHECK(layout.adapter_of(1) == 4);
  CHECK(layout.adapter_of(2) == 5);
  for (int const unit : {0, 3, 4, 5}) CHECK(layout.adapter_of(unit) == -1);
  for (int unit = 0; unit < 6; ++unit) CHECK(model.store.flat_grads(unit).defined() == (unit >= 4));
  auto const spec = [&](std::string const& name) { return layout.specs()[layout.id(block + name)]; };
  auto const follow = [&](std::string const& first, std::string const& second) {
    return spec(second).offset == spec(first).offset + spec(first).local_count();
  };
  CHECK(follow("self_attn.q_proj.lora_A.weight", "self_attn.v_proj.lora_A.weight"));
  CHECK(follow("mlp.gate_proj.lora_A.weight", "mlp.up_proj.lora_A.weight"));
  for (auto const& one : layout.specs(5)) CHECK(one.info.unit == 5);
}

TEST_CASE("a layout of tensor ranks: what is divided, and whose gradients are parts of a sum") {
  ParameterLayout const layout(small_config(), {.tensor_rank = 1, .tensor_size = 2}, adapter_on({"q_proj", "o_proj"}));
  auto const spec = [&](std::string const& name) { return layout.specs()[layout.id(block + name)]; };
  ParamSpec const q_a = spec("self_attn.q_proj.lora_A.weight"), q_b = spec("self_attn.q_proj.lora_B.weight"),
                  o_a = spec("self_attn.o_proj.lora_A.weight"), o_b = spec("self_attn.o_proj.lora_B.weight");
  CHECK(q_a.local_shape == Shape{3, 16});
  CHECK(q_b.local_shape == Shape{16, 3});
  CHECK(q_b.global.start == Shape{16, 0});
  CHECK(o_a.local_shape == Shape{3, 16});
  CHECK(o_a.global.start == Shape{0, 16});
  CHECK(o_b.local_shape == Shape{16, 3});
  CHECK(q_a.grad_partial_over_tensor);
  CHECK_FALSE(q_b.grad_partial_over_tensor);
  CHECK_FALSE(o_a.grad_partial_over_tensor);
  CHECK(o_b.grad_partial_over_tensor);
}

TEST_CASE("a fresh adapter is PEFT's: B is 0, A uniform, the same in every layout") {
  auto const config = small_config();
  auto const adapter = adapter_on(checkpoint::adapter_targets());
  auto const source = checkpoint::initial_adapter(config, adapter, 7);
  OneRank const whole = adapted(adapter);
  auto const load = [&](ParameterStore const& store) {
    std::vector<FlatPart> parts;
    for (int unit = store.layout().first_trained(); unit < store.units(); ++unit)
      parts.push_back({unit, store.held_weights(unit), store.held(unit)});
    read_weights(store.layout(), parts, *source);
  };
  load(whole.store);
  for (auto const& spec : whole.store.specs()) {
    if (!whole.store.layout().trained(spec.info.unit)) continue;
    at::Tensor const value = whole.store.weight(whole.store.id(spec.info.name));
    if (spec.info.name.ends_with(".lora_B.weight")) {
      CHECK(value.count_nonzero().item<int64_t>() == 0);
      continue;
    }
    double const bound = 1 / std::sqrt(static_cast<double>(spec.info.shape[1]));
    CHECK(value.abs().max().item<double>() <= bound);
    CHECK(value.abs().max().item<double>() > 0.8 * bound);
    CHECK(std::abs(value.mean().item<double>()) < 0.3 * bound);
  }
  // Rows 1 and 2, columns 5 to 9 of one A, as any other layout would read them.
  std::string const name = block + "mlp.down_proj.lora_A.weight";
  at::Tensor const part = at::empty({2, 5});
  source->read(name, {{1, 5}, {2, 5}}, std::span(static_cast<std::byte*>(part.mutable_data_ptr()), part.nbytes()));
  CHECK(part.equal(whole.store.weight(whole.store.id(name)).narrow(0, 1, 2).narrow(1, 5, 5)));
}
