#include <refrain/base/trace.hpp>
#include <refrain/train/optimizer.hpp>

#include <refrain/model/kernels.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace refrain::train {
namespace {

using model::ParameterLayout;

bool is_bf16(at::Tensor const& tensor) { return tensor.scalar_type() == at::kBFloat16; }

void sum_over(comm::Collectives& ranks, double& value) {
  comm::Buffer const buffer{.data = &value, .count = 1, .type = DType::fp64};
  ranks.wait(ranks.all_reduce(buffer, comm::ReduceOp::sum, comm::Lane::compute), comm::Lane::compute);
}

}  // namespace

Optimizer::Optimizer(model::ParameterStore& store) : store_(store) {
  auto const units = static_cast<std::size_t>(store.units());
  master_.resize(units);
  exp_avg_.resize(units);
  exp_avg_sq_.resize(units);
  for (int unit = store.layout().first_trained(); unit < store.units(); ++unit) {
    at::Tensor const weights = store.owned_weights(unit);
    auto const zeros = [&] { return at::zeros(weights.sizes(), weights.options().dtype(at::kFloat)); };
    auto const at = static_cast<std::size_t>(unit);
    master_[at] = is_bf16(weights) ? zeros() : weights;
    exp_avg_[at] = zeros();
    exp_avg_sq_[at] = zeros();
  }
}

void Optimizer::load_master(checkpoint::TensorSource const& source) {
  std::vector<model::FlatPart> parts;
  for (int unit = store_.layout().first_trained(); unit < store_.units(); ++unit)
    parts.push_back({unit, master(unit), store_.owned(unit)});
  model::read_weights(store_.layout(), parts, source);
}

double Optimizer::grad_norm() const {
  trace::Span const span("gradient norm");
  auto& backend = store_.backend();
  bool const counts_replicated = backend.tensor().rank() == 0;
  ParameterLayout const& layout = store_.layout();
  std::vector<at::Tensor> sums;  // read together: on a GPU each reading would make the host wait
  for (int unit = store_.layout().first_trained(); unit < store_.units(); ++unit) {
    model::FlatRange const shard = layout.shard(unit), owned = store_.owned(unit);
    at::Tensor const grads = store_.owned_grads(unit).narrow(0, shard.begin - owned.begin, shard.size());
    layout.for_each_piece(unit, shard, [&](ParameterLayout::Piece const& piece) {
      if (piece.spec.info.split == checkpoint::Split::none && !counts_replicated) return;
      sums.push_back(model::kernels::sum_of_squares(grads.narrow(0, piece.at, piece.count)));
    });
  }
  double sum = 0;
  if (!sums.empty()) {
    at::Tensor const read = at::stack(sums).cpu();
    for (int64_t i = 0; i < read.numel(); ++i) sum += read.const_data_ptr<double>()[i];
  }
  sum_over(backend.data(), sum);
  sum_over(backend.tensor(), sum);
  return std::sqrt(sum);
}

void Optimizer::step(AdamStep const& settings) {
  trace::Span const span("optimizer");
  constexpr double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  auto const number = static_cast<double>(settings.number);
  model::kernels::AdamSettings kernel{
      .grad_scale = static_cast<float>(settings.grad_scale),
      .decay = 1,
      .beta1_rest = static_cast<float>(1 - beta1),
      .beta2 = static_cast<float>(beta2),
      .beta2_rest = static_cast<float>(1 - beta2),
      .step_size = static_cast<float>(settings.learning_rate / (1 - std::pow(beta1, number))),
      .correction2 = static_cast<float>(std::sqrt(1 - std::pow(beta2, number))),
      .eps = static_cast<float>(eps),
  };
  auto const matrix_decay = static_cast<float>(1 - settings.learning_rate * settings.weight_decay);
  for (int unit = store_.layout().first_trained(); unit < store_.units(); ++unit) {
    store_.layout().for_each_piece(unit, store_.owned(unit), [&](ParameterLayout::Piece const& piece) {
      auto const part = [&](at::Tensor const& flat) { return flat.narrow(0, piece.at, piece.count); };
      kernel.decay = piece.spec.info.shape.size() > 1 ? matrix_decay : 1;
      model::kernels::adamw({.master = part(master(unit)),
                             .exp_avg = part(exp_avg(unit)),
                             .exp_avg_sq = part(exp_avg_sq(unit)),
                             .grad = part(store_.owned_grads(unit)),
                             .weights = part(store_.owned_weights(unit))},
                            kernel);
    });
  }
  store_.publish();
}

void Optimizer::publish() {
  for (int unit = store_.layout().first_trained(); unit < store_.units(); ++unit)
    if (at::Tensor const weights = store_.owned_weights(unit); is_bf16(weights)) weights.copy_(master(unit));
  store_.publish();
}

double clip_factor(double norm, double max_norm) noexcept {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace refrain::train
