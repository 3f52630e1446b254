#include "adamw_loop.hpp"

#include <refrain/base/trace.hpp>
#include <refrain/train/optimizer.hpp>

#include <refrain/model/kernels.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

namespace refrain::train {
namespace {

using model::ParameterLayout;

// Vectors are worked on a chunk at a time; sums of squares are then the same at any number of threads.
constexpr int64_t chunk_elements = 1 << 16;

bool is_bf16(at::Tensor const& tensor) { return tensor.scalar_type() == at::kBFloat16; }

double sum_of_squares(at::Tensor const& values) {
  int64_t const count = values.numel(), chunks = (count + chunk_elements - 1) / chunk_elements;
  std::vector<double> partial(static_cast<std::size_t>(chunks));
  at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk)
      partial[static_cast<std::size_t>(chunk)] =
          sum_of_squares_loop(values.const_data_ptr(), is_bf16(values), chunk * chunk_elements,
                              std::min(count, (chunk + 1) * chunk_elements));
  });
  double sum = 0;
  for (double const value : partial) sum += value;
  return sum;
}

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
  double sum = 0;
  std::vector<at::Tensor> on_gpu;  // read together: each reading would make the host wait
  for (int unit = store_.layout().first_trained(); unit < store_.units(); ++unit) {
    model::FlatRange const shard = layout.shard(unit), owned = store_.owned(unit);
    at::Tensor const grads = store_.owned_grads(unit).narrow(0, shard.begin - owned.begin, shard.size());
    layout.for_each_piece(unit, shard, [&](ParameterLayout::Piece const& piece) {
      if (piece.spec.info.split == checkpoint::Split::none && !counts_replicated) return;
      at::Tensor const values = grads.narrow(0, piece.at, piece.count);
      if (values.is_cuda())
        on_gpu.push_back(model::kernels::sum_of_squares(values));
      else
        sum += sum_of_squares(values);
    });
  }
  if (!on_gpu.empty()) sum += at::stack(on_gpu).sum().item<double>();
  sum_over(backend.data(), sum);
  sum_over(backend.tensor(), sum);
  return std::sqrt(sum);
}

void Optimizer::step(AdamStep const& settings) {
  trace::Span const span("optimizer");
  constexpr double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  auto const number = static_cast<double>(settings.number);
  AdamCoefficients const common{
      .grad_scale = static_cast<float>(settings.grad_scale),
      .decay = 1,
      .beta1_rest = static_cast<float>(1 - beta1),
      .beta2 = static_cast<float>(beta2),
      .beta2_rest = static_cast<float>(1 - beta2),
      .step_size = static_cast<float>(settings.learning_rate / (1 - std::pow(beta1, number))),
      .correction2 = static_cast<float>(std::sqrt(1 - std::pow(beta2, number))),
      .eps = static_cast<float>(eps),
  };
  auto const decay = static_cast<float>(1 - settings.learning_rate * settings.weight_decay);  // of matrices
  for (int unit = store_.layout().first_trained(); unit < store_.units(); ++unit) {
    at::Tensor const grads = store_.owned_grads(unit), weights = store_.owned_weights(unit);
    if (weights.is_cuda()) {
      step_on_gpu(unit, common, decay);
      continue;
    }
    AdamVectors const vectors{
        .p = master(unit).mutable_data_ptr<float>(),
        .m = exp_avg(unit).mutable_data_ptr<float>(),
        .v = exp_avg_sq(unit).mutable_data_ptr<float>(),
        .g = grads.const_data_ptr(),
        .bf16_grads = is_bf16(grads),
        .w = is_bf16(weights) ? static_cast<uint16_t*>(weights.mutable_data_ptr()) : nullptr,
    };
    store_.layout().for_each_piece(unit, store_.owned(unit), [&](ParameterLayout::Piece const& piece) {
      AdamCoefficients coefficients = common;
      if (piece.spec.info.shape.size() > 1) coefficients.decay = decay;
      at::parallel_for(piece.at, piece.at + piece.count, chunk_elements,
                       [&](int64_t begin, int64_t end) { adamw_loop(vectors, begin, end, coefficients); });
    });
  }
  store_.publish();
}

void Optimizer::step_on_gpu(int unit, AdamCoefficients const& common, float decay) {
  store_.layout().for_each_piece(unit, store_.owned(unit), [&](ParameterLayout::Piece const& piece) {
    auto const part = [&](at::Tensor const& flat) { return flat.narrow(0, piece.at, piece.count); };
    at::Tensor const weights = store_.owned_weights(unit);
    model::kernels::adamw({.master = part(master(unit)),
                           .exp_avg = part(exp_avg(unit)),
                           .exp_avg_sq = part(exp_avg_sq(unit)),
                           .grad = part(store_.owned_grads(unit)),
                           .weights = is_bf16(weights) ? part(weights) : at::Tensor()},
                          {.grad_scale = common.grad_scale,
                           .decay = piece.spec.info.shape.size() > 1 ? decay : common.decay,
                           .beta1_rest = common.beta1_rest,
                           .beta2 = common.beta2,
                           .beta2_rest = common.beta2_rest,
                           .step_size = common.step_size,
                           .correction2 = common.correction2,
                           .eps = common.eps});
  });
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
