#include <refrain/train/step_engine.hpp>

#include <refrain/model/autograd.hpp>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace refrain::train {
namespace {

std::vector<double> sums_by_answer(at::Tensor const& values_N, at::Tensor const& answer_N, int64_t answers) {
  at::Tensor const sums =
      at::zeros({answers}, at::kDouble).index_add_(0, answer_N, values_N.detach().to(at::kCPU, at::kDouble));
  return {sums.const_data_ptr<double>(), sums.const_data_ptr<double>() + answers};
}

std::vector<int64_t> counts_by_answer(at::Tensor const& flags_N, at::Tensor const& answer_N, int64_t answers) {
  at::Tensor const counts = at::zeros({answers}, at::kLong).index_add_(0, answer_N, flags_N.to(at::kCPU, at::kLong));
  return {counts.const_data_ptr<int64_t>(), counts.const_data_ptr<int64_t>() + answers};
}

AnswerSums sums_of(model::HeadOut const& head, model::PackedBatch const& batch) {
  AnswerSums sums;
  sums.logp = sums_by_answer(head.logp_N, batch.answer_N, batch.answers);
  sums.logit = sums_by_answer(head.mean_logit_N, batch.answer_N, batch.answers);
  sums.entropy = sums_by_answer(head.entropy_N, batch.answer_N, batch.answers);
  sums.tokens = counts_by_answer(at::ones_like(batch.answer_N), batch.answer_N, batch.answers);
  sums.likeliest =
      counts_by_answer(head.top1_N.to(at::kCPU).eq(batch.targets_N.to(at::kCPU)), batch.answer_N, batch.answers);
  return sums;
}

/// A point at which the graph is cut: what came out of the unit before, as a leaf for the next.
at::Tensor leaf(at::Tensor const& x) { return x.detach().requires_grad_(true); }

}  // namespace

StepEngine::StepEngine(model::ParameterStore& store, int64_t logits_chunk_rows)
    : store_(store), decoder_(store), chunk_rows_(logits_chunk_rows) {}

AnswerSums StepEngine::forward(model::PackedBatch const& batch) {
  if (batch.answers == 0) return {};
  at::NoGradGuard const no_grad;
  at::Tensor x_TD;
  {
    [[maybe_unused]] auto const lease = store_.acquire(0);
    x_TD = decoder_.embed(batch);
  }
  for (int i = 0; i < decoder_.blocks(); ++i) {
    [[maybe_unused]] auto const lease = store_.acquire(1 + i);
    x_TD = decoder_.block(i, x_TD, batch);
  }
  [[maybe_unused]] auto const lease = store_.acquire(1 + decoder_.blocks());
  return sums_of(decoder_.head(x_TD, batch, chunk_rows_), batch);
}

AnswerSums StepEngine::train(model::PackedBatch const& batch,
                             std::function<std::vector<double>(AnswerSums const&)> const& gradients) {
  int const blocks = decoder_.blocks();
  if (batch.answers == 0) {
    for (int unit = store_.units() - 1; unit >= 0; --unit) store_.reduce(unit);
    return {};
  }
  at::AutoGradMode const with_grad(true);
  // Every block's graph stays until its backward: nothing is recomputed.
  std::vector<at::Tensor> inputs, outputs;
  {
    [[maybe_unused]] auto const lease = store_.acquire(0);
    outputs.push_back(decoder_.embed(batch));
  }
  for (int i = 0; i < blocks; ++i) {
    [[maybe_unused]] auto const lease = store_.acquire(1 + i);
    inputs.push_back(leaf(outputs.back()));
    outputs.push_back(decoder_.block(i, inputs.back(), batch));
  }

  AnswerSums sums;
  at::Tensor grad_TD;
  {
    [[maybe_unused]] auto const lease = store_.acquire(1 + blocks);
    at::Tensor const x_TD = leaf(outputs.back());
    model::HeadOut const head = decoder_.head(x_TD, batch, chunk_rows_);
    sums = sums_of(head, batch);
    std::vector<double> const by_answer = gradients(sums);
    at::Tensor const grad_N = at::tensor(by_answer, at::kDouble).to(at::kFloat).index_select(0, batch.answer_N);
    grad_TD = model::backpropagate(head.logp_N, x_TD, grad_N.to(head.logp_N.device()));
  }
  store_.reduce(1 + blocks);
  for (int i = blocks - 1; i >= 0; --i) {
    {
      [[maybe_unused]] auto const lease = store_.acquire(1 + i);
      auto const block = static_cast<std::size_t>(i);
      grad_TD = model::backpropagate(outputs[block + 1], inputs[block], grad_TD);
      outputs.resize(block + 1);
      inputs.resize(block);
    }
    store_.reduce(1 + i);
  }
  decoder_.embed_backward(batch, grad_TD);
  store_.reduce(0);
  return sums;
}

}  // namespace refrain::train
