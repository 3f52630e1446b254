#include "small_model.hpp"

#include <refrain/model/autograd.hpp>
#include <refrain/model/head.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::model;
using model::testing::deviation;
using model::testing::OneRank;

namespace {

HeadIds head_of(OneRank const& model) {
  return {model.store.id("model.norm.weight"), model.store.id("lm_head.weight")};
}

// A batch whose rows `rows` have these targets.
PackedBatch scored(at::Tensor const& rows, at::Tensor const& targets) {
  PackedBatch batch;
  batch.head_rows_N = rows;
  batch.targets_N = targets;
  return batch;
}

PackedBatch scored(at::Tensor const& targets) { return scored(at::arange(targets.numel(), at::kLong), targets); }

at::Tensor normed(at::Tensor const& x, at::Tensor const& weight) {
  return x * (x.square().mean(-1, true) + 1e-5).rsqrt() * weight;
}

}  // namespace

TEST_CASE("token_logps equals log_softmax, at every size of chunks") {
  int64_t const chunk_rows = GENERATE(1, 4, 11, 100);
  OneRank model;
  HeadIds const ids = head_of(model);
  // Eleven rows of nine, two of which are taken twice.
  at::Tensor const rows = at::tensor({8, 0, 1, 2, 2, 3, 4, 5, 6, 7, 0}, at::kLong);
  at::Tensor const hidden = at::randn({9, 16}).mul_(3), targets = at::randint(0, 23, {11}, at::kLong),
                   dlogp = at::randn({11});

  at::Tensor const w = model.store.weight(ids.output).to(at::kDouble).requires_grad_(true);
  at::Tensor const scale = model.store.weight(ids.norm).to(at::kDouble).requires_grad_(true);
  at::Tensor const x = hidden.to(at::kDouble).requires_grad_(true);
  at::Tensor const logits = normed(x, scale).index_select(0, rows).matmul(w.t()), logps = logits.log_softmax(1);
  at::Tensor const expected = logps.gather(1, targets.unsqueeze(1)).squeeze(1);
  expected.backward(dlogp.to(at::kDouble));

  at::Tensor const leaf = hidden.clone().requires_grad_(true);
  HeadOut const out = token_logps(leaf, model.store, ids, scored(rows, targets), chunk_rows);
  CHECK(deviation(out.logp_N.detach(), expected.detach()) < 1e-6);
  CHECK(deviation(out.mean_logit_N, logits.detach().mean(1)) < 1e-6);
  CHECK(deviation(out.entropy_N, -(logps.exp() * logps).sum(1).detach()) < 1e-6);
  CHECK(out.top1_N.equal(logits.argmax(1)));
  CHECK(deviation(backpropagate(out.logp_N, leaf, dlogp), x.grad()) < 2e-6);
  CHECK(deviation(model.store.main_grad(ids.output), w.grad()) < 2e-6);
  CHECK(deviation(model.store.main_grad(ids.norm), scale.grad()) < 2e-6);
}

TEST_CASE("the likeliest token is the lowest of equals, as torch.argmax has it") {
  OneRank model;
  HeadIds const ids = head_of(model);
  auto const likeliest = [&] {
    return token_logps(at::ones({2, 16}), model.store, ids, scored(at::tensor({3, 4}, at::kLong)), 8).top1_N;
  };
  model.store.weight(ids.norm).fill_(1);
  model.store.weight(ids.output).zero_();
  CHECK(likeliest().eq(0).all().item<bool>());
  model.store.weight(ids.output)[5].fill_(1);
  model.store.weight(ids.output)[20].fill_(1);
  CHECK(likeliest().eq(5).all().item<bool>());
}

TEST_CASE("large logits neither overflow nor lose their differences") {
  OneRank model;
  HeadIds const ids = head_of(model);
  model.store.weight(ids.norm).fill_(300);
  at::Tensor const hidden = at::randn({6, 16}), targets = at::zeros({6}, at::kLong);
  at::Tensor const scale = model.store.weight(ids.norm).to(at::kDouble);
  at::Tensor const logps =
      normed(hidden.to(at::kDouble), scale).matmul(model.store.weight(ids.output).to(at::kDouble).t()).log_softmax(1);
  HeadOut const out = token_logps(hidden, model.store, ids, scored(targets), 4);
  CHECK(deviation(out.logp_N, logps.select(1, 0)) < 1e-5);
  CHECK(at::isfinite(out.entropy_N).all().item<bool>());
}

TEST_CASE("no scored rows are no work") {
  OneRank model;
  at::Tensor const hidden = at::ones({3, 16}).requires_grad_(true), none = at::zeros({0}, at::kLong);
  HeadOut const out = token_logps(hidden, model.store, head_of(model), scored(none, none), 8);
  CHECK(out.logp_N.numel() == 0);
  CHECK(backpropagate(out.logp_N, hidden, at::zeros({0})).count_nonzero().item<int64_t>() == 0);
}
