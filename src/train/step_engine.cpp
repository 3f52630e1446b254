#include <refrain/base/trace.hpp>
#include <refrain/train/step_engine.hpp>

#include <refrain/model/autograd.hpp>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <optional>

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

StepEngine::StepEngine(model::ParameterStore& store, int64_t logits_chunk_rows, Recompute recompute)
    : store_(store), decoder_(store), chunk_rows_(logits_chunk_rows), recompute_(recompute) {}

template <class Block, class Head>
void StepEngine::through_units(model::PackedBatch const& batch, Block const& block, Head const& head) {
  bool const idle = batch.answers == 0;
  at::Tensor x_TD;
  {
    auto const lease = store_.acquire(0);
    store_.prefetch(1);
    if (!idle) x_TD = decoder_.embed(batch);
  }
  for (int i = 0; i < decoder_.blocks(); ++i) {
    auto const lease = store_.acquire(1 + i);
    store_.prefetch(2 + i);
    trace::Span const span("blocks, sums and copies", "forward of block", i);
    if (!idle) x_TD = block(i, x_TD);
  }
  auto const lease = store_.acquire(head_unit());
  std::optional<model::UnitLease> tied;
  if (store_.config().tie_word_embeddings) tied.emplace(store_.acquire(0));
  head(x_TD);
}

AnswerSums StepEngine::forward(model::PackedBatch const& packed) {
  model::PackedBatch const batch = packed.on(store_.backend().device());
  at::NoGradGuard const no_grad;
  AnswerSums sums;
  through_units(
      batch, [&](int i, at::Tensor const& x_TD) { return decoder_.block(i, x_TD, batch); },
      [&](at::Tensor const& x_TD) {
        if (batch.answers > 0) sums = sums_of(decoder_.head(x_TD, batch, chunk_rows_), batch);
      });
  return sums;
}

AnswerSums StepEngine::train(model::PackedBatch const& packed,
                             std::function<std::vector<double>(AnswerSums const&)> const& gradients) {
  model::PackedBatch const batch = packed.on(store_.backend().device());
  bool const idle = batch.answers == 0;
  auto const mlp = recompute_ == Recompute::selective ? model::Remember::remake : model::Remember::keep;
  // A block's graph stays until its backward, or only its input does.
  std::vector<at::Tensor> inputs, outputs;
  AnswerSums sums;
  at::Tensor grad_TD;
  at::AutoGradMode const with_grad(true);
  through_units(
      batch,
      [&](int i, at::Tensor const& x_TD) {
        inputs.push_back(leaf(x_TD));
        at::AutoGradMode const mode(recompute_ != Recompute::block);
        outputs.push_back(decoder_.block(i, inputs.back(), batch, mlp));
        return outputs.back();
      },
      [&](at::Tensor const& last_TD) {
        if (decoder_.blocks() > 0) store_.prefetch(decoder_.blocks());
        trace::Span const span("head", "forward and backward of the head");
        if (idle) return;
        at::Tensor const x_TD = leaf(last_TD);
        model::HeadOut const head = decoder_.head(x_TD, batch, chunk_rows_);
        sums = sums_of(head, batch);
        std::vector<double> const by_answer = gradients(sums);
        at::Tensor const grad_N = at::tensor(by_answer, at::kDouble).to(at::kFloat).index_select(0, batch.answer_N);
        grad_TD = model::backpropagate(head.logp_N, x_TD, grad_N.to(head.logp_N.device()));
      });
  store_.reduce(head_unit());
  for (int i = decoder_.blocks() - 1; i >= 0; --i) {
    {
      auto const lease = store_.acquire(1 + i);
      if (i > 0) store_.prefetch(i);
      trace::Span const span("blocks, sums and copies", "backward of block", i);
      if (!idle) {
        at::Tensor x_TD = std::move(inputs.back()), y_TD = std::move(outputs.back());
        inputs.pop_back();
        outputs.pop_back();
        if (recompute_ == Recompute::block) {
          trace::Span const again("blocks, sums and copies", "forward again of block", i);
          y_TD = decoder_.block(i, x_TD, batch);
        }
        grad_TD = model::backpropagate(y_TD, x_TD, grad_TD);
      }
    }
    store_.reduce(1 + i);
  }
  if (!idle) decoder_.embed_backward(batch, grad_TD);
  store_.reduce(0);
  store_.finish_reductions();
  return sums;
}

}  // namespace refrain::train
