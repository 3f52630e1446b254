#pragma once

#include <refrain/checkpoint/model_config.hpp>
#include <refrain/comm/parallel_layout.hpp>
#include <refrain/model/decoder.hpp>

#include <ATen/ATen.h>

#include <optional>

namespace refrain::model::testing {

/// A Llama of a few thousand weights.
inline checkpoint::ModelConfig small_config() {
  return {.vocab_size = 23,
          .hidden_size = 16,
          .intermediate_size = 20,
          .num_hidden_layers = 2,
          .num_attention_heads = 4,
          .num_key_value_heads = 2,
          .head_dim = 8,
          .max_position_embeddings = 64,
          .rms_norm_eps = 1e-5,
          .rope_theta = 10000,
          .initializer_range = 0.02,
          .rope_scaling = {},
          .tie_word_embeddings = false,
          .dtype = DType::fp32};
}

/// A model on one rank with normal weights of fixed seed.
struct OneRank {
  comm::ParallelLayout layout{comm::Communicator::single(), 1};
  std::unique_ptr<Backend> backend = cpu_backend(layout);
  ParameterStore store;

  explicit OneRank(checkpoint::ModelConfig const& config = small_config(), DType weights = DType::fp32,
                   DType grads = DType::fp32, std::optional<checkpoint::AdapterConfig> const& adapter = {})
      : store(config, *backend, {.weights = weights, .grads = grads, .adapter = adapter}) {
    at::manual_seed(1);
    for (ParamId id = 0; id < static_cast<ParamId>(store.specs().size()); ++id) {
      at::Tensor const weight = store.weight(id);
      weight.copy_(at::randn(weight.sizes()).mul_(0.3).add_(weight.dim() == 1 ? 1. : 0.));
    }
  }
};

/// Largest difference, as a share of the largest expected value.
inline double deviation(at::Tensor const& actual, at::Tensor const& expected) {
  at::Tensor const wanted = expected.to(at::kDouble);
  return ((actual.to(at::kDouble) - wanted).abs().max() / (wanted.abs().max() + 1e-30)).item<double>();
}

/// Several segments one behind the other, each with positions from 0; every token but a segment's last is scored.
inline PackedBatch packed(std::vector<int64_t> const& lengths, int64_t vocabulary) {
  PackedBatch batch;
  std::vector<int64_t> positions, rows, answers;
  int32_t begin = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    batch.segments.push_back({begin, static_cast<int32_t>(lengths[i]), 0, 0});
    for (int64_t p = 0; p < lengths[i]; ++p) {
      positions.push_back(p);
      if (p + 1 < lengths[i]) {
        rows.push_back(begin + p);
        answers.push_back(static_cast<int64_t>(i));
      }
    }
    begin += static_cast<int32_t>(lengths[i]);
  }
  batch.tokens_T = at::arange(begin, at::kLong).mul(7).remainder(vocabulary);
  batch.positions_T = at::tensor(positions, at::kLong);
  batch.head_rows_N = at::tensor(rows, at::kLong);
  batch.targets_N = batch.tokens_T.index_select(0, batch.head_rows_N + 1);
  batch.answer_N = at::tensor(answers, at::kLong);
  batch.answers = static_cast<int64_t>(lengths.size());
  return batch;
}

}  // namespace refrain::model::testing
