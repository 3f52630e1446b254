#include "adamw_loop.hpp"

#include <refrain/train/optimizer.hpp>

#include <refrain/model/slices.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

namespace refrain::train {
namespace {

// Sums of squares are taken a chunk at a time: the same at any number of threads.
constexpr int64_t chunk_elements = 1 << 16;

double sum_of_squares(float const* values, int64_t count) {
  int64_t const chunks = (count + chunk_elements - 1) / chunk_elements;
  std::vector<double> partial(static_cast<std::size_t>(chunks));
  at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      int64_t const last = std::min(count, (chunk + 1) * chunk_elements);
      // Four sums, so that additions need not wait for each other.
      double sums[4] = {0, 0, 0, 0};
      for (int64_t i = chunk * chunk_elements; i < last; ++i) {
        double const value = values[i];
        sums[i & 3] += value * value;
      }
      partial[static_cast<std::size_t>(chunk)] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
  });
  double sum = 0;
  for (double const value : partial) sum += value;
  return sum;
}

}  // namespace

Optimizer::Optimizer(model::ParameterStore& store) : store_(store) {
  for (int unit = 0; unit < store.units(); ++unit) {
    at::Tensor const weights = store.flat_weights(unit);
    master_.push_back(weights.scalar_type() == at::kFloat
                          ? weights
                          : at::zeros(weights.sizes(), weights.options().dtype(at::kFloat)));
    exp_avg_.push_back(at::zeros(weights.sizes(), weights.options().dtype(at::kFloat)));
    exp_avg_sq_.push_back(at::zeros_like(exp_avg_.back()));
  }
}

void Optimizer::load_master(checkpoint::TensorSource const& source) {
  model::read_weights(store_, master_, source);
  publish();
}

double Optimizer::grad_norm() const {
  bool const counts_replicated = store_.backend().tensor().rank() == 0;
  double sum = 0;
  for (auto const& spec : store_.specs()) {
    if (spec.info.split == checkpoint::Split::none && !counts_replicated) continue;
    at::Tensor const grad = store_.flat_grads(spec.info.unit).narrow(0, spec.offset, spec.local_count()).to(at::kFloat);
    sum += sum_of_squares(grad.const_data_ptr<float>(), grad.numel());
  }
  at::Tensor total = at::full({1}, sum, at::kDouble);
  auto& tensor = store_.backend().tensor();
  tensor.wait(tensor.all_reduce(model::buffer_of(total), comm::ReduceOp::sum, comm::Lane::compute),
              comm::Lane::compute);
  return std::sqrt(total.item<double>());
}

void Optimizer::step(AdamStep const& settings) {
  constexpr double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  auto const number = static_cast<double>(settings.number);
  AdamCoefficients common{
      .grad_scale = static_cast<float>(settings.grad_scale),
      .decay = 1,
      .beta1_rest = static_cast<float>(1 - beta1),
      .beta2 = static_cast<float>(beta2),
      .beta2_rest = static_cast<float>(1 - beta2),
      .step_size = static_cast<float>(settings.learning_rate / (1 - std::pow(beta1, number))),
      .correction2 = static_cast<float>(std::sqrt(1 - std::pow(beta2, number))),
      .eps = static_cast<float>(eps),
  };
  for (auto const& spec : store_.specs()) {
    auto const unit = static_cast<std::size_t>(spec.info.unit);
    AdamCoefficients coefficients = common;
    if (spec.info.shape.size() > 1)
      coefficients.decay = static_cast<float>(1 - settings.learning_rate * settings.weight_decay);
    int64_t const count = spec.local_count();
    at::Tensor const grad = store_.flat_grads(spec.info.unit).narrow(0, spec.offset, count).to(at::kFloat);
    float* const p = master_[unit].mutable_data_ptr<float>() + spec.offset;
    float* const m = exp_avg_[unit].mutable_data_ptr<float>() + spec.offset;
    float* const v = exp_avg_sq_[unit].mutable_data_ptr<float>() + spec.offset;
    float const* const g = grad.const_data_ptr<float>();
    at::parallel_for(0, count, chunk_elements, [&](int64_t begin, int64_t end) {
      adamw_loop(p + begin, m + begin, v + begin, g + begin, end - begin, coefficients);
    });
  }
  publish();
}

void Optimizer::publish() {
  for (int unit = 0; unit < store_.units(); ++unit) {
    at::Tensor weights = store_.flat_weights(unit);
    if (!weights.is_same(master(unit))) weights.copy_(master(unit));
  }
}

double clip_factor(double norm, double max_norm) noexcept {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace refrain::train
