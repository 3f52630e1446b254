#include "device_kernels.hpp"
#include "vector_loops.hpp"

#include <refrain/model/kernels.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

namespace refrain::model::kernels {
namespace {

float* floats(at::Tensor const& tensor) {
  TORCH_INTERNAL_ASSERT(tensor.is_cpu() && tensor.is_contiguous() && tensor.scalar_type() == at::kFloat);
  return tensor.data_ptr<float>();
}

}  // namespace

void row_stats(at::Tensor const& logits_CV, at::Tensor const& targets_C, int64_t begin, RowStats const& stats) {
  if (logits_CV.is_cuda()) return device_kernels().row_stats(logits_CV, targets_C, begin, stats);
  int64_t const vocabulary = logits_CV.size(1);
  float const* logits = floats(logits_CV);
  auto const* targets = targets_C.data_ptr<int64_t>();
  at::parallel_for(0, logits_CV.size(0), 1, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      float const* row = logits + c * vocabulary;
      float const highest = loops::row_max(row, vocabulary);
      loops::RowSums const sums = loops::row_sums(row, vocabulary, highest);
      int64_t const n = begin + c;
      floats(stats.max_N)[n] = highest;
      floats(stats.sum_exp_N)[n] = static_cast<float>(sums.exp);
      floats(stats.sum_dot_N)[n] = static_cast<float>(sums.dot);
      floats(stats.sum_N)[n] = static_cast<float>(sums.plain);
      floats(stats.argmax_N)[n] = static_cast<float>(std::find(row, row + vocabulary, highest) - row);
      bool const here = targets[c] >= 0 && targets[c] < vocabulary;
      floats(stats.target_N)[n] = here ? row[targets[c]] : 0.F;
    }
  });
}

void logits_to_gradient(at::Tensor const& logits_CV, at::Tensor const& targets_C, at::Tensor const& log_sum_exp_C,
                        at::Tensor const& dlogp_C) {
  if (logits_CV.is_cuda()) return device_kernels().logits_to_gradient(logits_CV, targets_C, log_sum_exp_C, dlogp_C);
  int64_t const vocabulary = logits_CV.size(1);
  float* const logits = floats(logits_CV);
  auto const* targets = targets_C.data_ptr<int64_t>();
  at::parallel_for(0, logits_CV.size(0), 1, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      float const slope = floats(dlogp_C)[c];
      loops::row_gradient(logits + c * vocabulary, vocabulary, floats(log_sum_exp_C)[c], slope);
      if (targets[c] >= 0 && targets[c] < vocabulary) logits[c * vocabulary + targets[c]] += slope;
    }
  });
}

}  // namespace refrain::model::kernels
