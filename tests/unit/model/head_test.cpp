#include "small_model.hpp"

#include <refrain/model/autograd.hpp>
#include <refrain/model/head.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::model;
using model::testing::deviation;
using model::testing::OneRank;

TEST_CASE("token_logps equals log_softmax, at every size of chunks") {
  int64_t const chunk_rows = GENERATE(1, 4, 11, 100);
  OneRank model;
  ParamId const head = model.store.id("lm_head.weight");
  at::Tensor const hidden = at::randn({11, 16}).mul_(3), targets = at::randint(0, 23, {11}, at::kLong),
                   dlogp = at::randn({11});

  at::Tensor const w = model.store.weight(head).to(at::kDouble).requires_grad_(true);
  at::Tensor const x = hidden.to(at::kDouble).requires_grad_(true);
  at::Tensor const logits = x.matmul(w.t()), logps = logits.log_softmax(1);
  at::Tensor const expected = logps.gather(1, targets.unsqueeze(1)).squeeze(1);
  at::Tensor const dx = backpropagate(expected, x, dlogp.to(at::kDouble));

  at::Tensor const leaf = hidden.clone().requires_grad_(true);
  HeadOut const out = token_logps(leaf, model.store, head, targets, chunk_rows);
  CHECK(deviation(out.logp_N.detach(), expected.detach()) < 1e-6);
  CHECK(deviation(out.mean_logit_N, logits.detach().mean(1)) < 1e-6);
  CHECK(deviation(out.entropy_N, -(logps.exp() * logps).sum(1).detach()) < 1e-6);
  CHECK(out.top1_N.equal(logits.argmax(1)));
  CHECK(deviation(backpropagate(out.logp_N, leaf, dlogp), dx) < 2e-6);
  at::Tensor const slope = (at::one_hot(targets, 23) - logps.exp()).detach() * dlogp.to(at::kDouble).unsqueeze(1);
  CHECK(deviation(model.store.main_grad(head), slope.t().matmul(hidden.to(at::kDouble))) < 2e-6);
}

TEST_CASE("the likeliest token is the lowest of equals, as torch.argmax has it") {
  OneRank model;
  ParamId const head = model.store.id("lm_head.weight");
  model.store.weight(head).zero_();
  HeadOut const flat = token_logps(at::ones({2, 16}), model.store, head, at::tensor({3, 4}, at::kLong), 8);
  CHECK(flat.top1_N.eq(0).all().item<bool>());
  model.store.weight(head)[5].fill_(1);
  model.store.weight(head)[20].fill_(1);
  CHECK(token_logps(at::ones({2, 16}), model.store, head, at::tensor({3, 4}, at::kLong), 8)
            .top1_N.eq(5)
            .all()
            .item<bool>());
}

TEST_CASE("large logits neither overflow nor lose their differences") {
  OneRank model;
  ParamId const head = model.store.id("lm_head.weight");
  at::Tensor const hidden = at::randn({6, 16}).mul_(300), targets = at::zeros({6}, at::kLong);
  at::Tensor const logps = hidden.to(at::kDouble).matmul(model.store.weight(head).to(at::kDouble).t()).log_softmax(1);
  HeadOut const out = token_logps(hidden, model.store, head, targets, 4);
  CHECK(deviation(out.logp_N, logps.select(1, 0)) < 1e-5);
  CHECK(at::isfinite(out.entropy_N).all().item<bool>());
}

TEST_CASE("no rows are no work") {
  OneRank model;
  at::Tensor const hidden = at::zeros({0, 16}).requires_grad_(true);
  HeadOut const out = token_logps(hidden, model.store, model.store.id("lm_head.weight"), at::zeros({0}, at::kLong), 8);
  CHECK(out.logp_N.numel() == 0);
  CHECK(backpropagate(out.logp_N, hidden, at::zeros({0})).numel() == 0);
}
