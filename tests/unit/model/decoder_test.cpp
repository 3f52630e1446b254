#include "small_model.hpp"

#include <refrain/model/autograd.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::model;
using model::testing::deviation;
using model::testing::OneRank;
using model::testing::packed;

namespace {

enum class Recompute { none, block };

// Forward and backward of sum(logp), gradients left in the store; returns the log-probabilities.
at::Tensor forward_backward(OneRank& model, PackedBatch const& batch, Recompute recompute = Recompute::none) {
  Decoder const decoder(model.store);
  std::vector<at::Tensor> inputs, outputs;
  at::Tensor x_TD = decoder.embed(batch);
  for (int i = 0; i < decoder.blocks(); ++i) {
    inputs.push_back(x_TD.detach().requires_grad_(true));
    at::AutoGradMode const mode(recompute == Recompute::none);
    outputs.push_back(decoder.block(i, inputs.back(), batch));
    x_TD = outputs.back();
  }
  at::Tensor const last = x_TD.detach().requires_grad_(true);
  HeadOut const out = decoder.head(last, batch, 5);
  at::Tensor grad_TD = backpropagate(out.logp_N, last, at::ones_like(out.logp_N));
  for (int i = decoder.blocks() - 1; i >= 0; --i) {
    at::Tensor const y = recompute == Recompute::block ? decoder.block(i, inputs[i], batch) : outputs[i];
    grad_TD = backpropagate(y, inputs[i], grad_TD);
  }
  decoder.embed_backward(batch, grad_TD);
  return out.logp_N.detach();
}

std::vector<at::Tensor> gradients(OneRank const& model) {
  std::vector<at::Tensor> all;
  for (int unit = 0; unit < model.store.units(); ++unit) all.push_back(model.store.flat_grads(unit).clone());
  return all;
}

}  // namespace

TEST_CASE("a packed batch equals its segments one at a time") {
  OneRank model;
  std::vector<int64_t> const lengths{7, 3, 12};
  PackedBatch const batch = packed(lengths, 23);
  at::Tensor const together = forward_backward(model, batch);
  auto const packed_grads = gradients(model);
  model.store.zero_grads();
  std::vector<at::Tensor> apart;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    PackedBatch one = packed({lengths[i]}, 23);
    one.tokens_T = batch.tokens_T.narrow(0, batch.segments[i].begin, lengths[i]);
    one.targets_N = one.tokens_T.narrow(0, 1, lengths[i] - 1);
    apart.push_back(forward_backward(model, one));
  }
  CHECK(deviation(together, at::cat(apart)) < 1e-5);
  for (int unit = 0; unit < model.store.units(); ++unit)
    CHECK(deviation(packed_grads[unit], model.store.flat_grads(unit)) < 1e-5);
}

TEST_CASE("an answer that sees a shared prompt equals one that repeats it") {
  OneRank model;
  // Prompt of 4 tokens; answers of 3 and 5.
  at::Tensor const tokens = at::tensor({1, 2, 3, 4, 10, 11, 12, 20, 21, 22, 13, 14}, at::kLong);
  PackedBatch shared = packed({7, 5}, 23), repeated = packed({7, 9}, 23);
  shared.tokens_T = tokens;
  shared.positions_T = at::tensor({0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8}, at::kLong);
  shared.segments = {{0, 7, 0, 0}, {7, 5, 0, 4}};
  shared.head_rows_N = at::tensor({3, 4, 5, 3, 7, 8, 9, 10}, at::kLong);
  repeated.tokens_T = at::cat({tokens.narrow(0, 0, 7), tokens.narrow(0, 0, 4), tokens.narrow(0, 7, 5)});
  repeated.head_rows_N = at::tensor({3, 4, 5, 10, 11, 12, 13, 14}, at::kLong);
  shared.targets_N = repeated.targets_N = repeated.tokens_T.index_select(0, repeated.head_rows_N + 1);
  at::Tensor const shared_logps = forward_backward(model, shared);
  auto const shared_grads = gradients(model);
  model.store.zero_grads();
  CHECK(deviation(shared_logps, forward_backward(model, repeated)) < 1e-5);
  for (int unit = 0; unit < model.store.units(); ++unit)
    CHECK(deviation(shared_grads[unit], model.store.flat_grads(unit)) < 1e-5);
}

TEST_CASE("recomputing a block gives the same bits") {
  OneRank model;
  PackedBatch const batch = packed({9, 14}, 23);
  at::Tensor const kept = forward_backward(model, batch);
  auto const kept_grads = gradients(model);
  model.store.zero_grads();
  CHECK(kept.equal(forward_backward(model, batch, Recompute::block)));
  for (int unit = 0; unit < model.store.units(); ++unit) CHECK(kept_grads[unit].equal(model.store.flat_grads(unit)));
}

TEST_CASE("bf16 weights give what their rounded values give in fp32, near enough") {
  OneRank narrow(model::testing::small_config(), DType::bf16), wide;
  for (int unit = 0; unit < wide.store.units(); ++unit)
    wide.store.flat_weights(unit).copy_(narrow.store.flat_weights(unit));
  PackedBatch const batch = packed({12, 5}, 23);
  CHECK(deviation(forward_backward(narrow, batch), forward_backward(wide, batch)) < 0.03);
  for (int unit = 0; unit < wide.store.units(); ++unit) {
    at::Tensor const expected = wide.store.flat_grads(unit);
    CHECK(((narrow.store.flat_grads(unit) - expected).norm() / expected.norm()).item<double>() < 0.05);
  }
}

TEST_CASE("without gradients nothing is kept, and logits are whole") {
  OneRank model;
  Decoder const decoder(model.store);
  PackedBatch const batch = packed({6}, 23);
  at::NoGradGuard const no_grad;
  at::Tensor x_TD = decoder.embed(batch).requires_grad_(true);
  for (int i = 0; i < decoder.blocks(); ++i) {
    x_TD = decoder.block(i, x_TD, batch);
    CHECK_FALSE(x_TD.grad_fn());
  }
  at::Tensor const logits = decoder.logits(x_TD, batch);
  CHECK(logits.sizes() == at::IntArrayRef{5, 23});
  at::Tensor const expected = logits.log_softmax(1).gather(1, batch.targets_N.unsqueeze(1)).squeeze(1);
  CHECK(deviation(decoder.head(x_TD, batch, 3).logp_N, expected) < 1e-6);
}
