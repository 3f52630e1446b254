#pragma once

#include <refrain/checkpoint/model_config.hpp>
#include <refrain/comm/parallel_layout.hpp>
#include <refrain/inference/model_options.hpp>
#include <refrain/model/backend.hpp>
#include <refrain/model/parameter_store.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace refrain::inference {

/// A model that jobs run forward: known by its small files first, its weights in memory once `load` is called.
class LoadedModel {
public:
  /// Reads config.json and digests the weights. `options` and `world` must outlive it. @collective @throws Error
  LoadedModel(ModelOptions const& options, comm::Communicator const& world);

  /// Reads the weights, an adapter's added to them. @collective @throws Error
  model::ParameterStore& load();

  checkpoint::ModelConfig const& config() const noexcept { return config_; }
  comm::ParallelLayout const& layout() const noexcept { return layout_; }
  DType dtype() const noexcept { return dtype_; }
  /// Tokens that end an answer: generation_config.json's, else config.json's.
  std::vector<int32_t> const& stop_tokens() const noexcept { return stop_tokens_; }
  /// For keys and values on each rank: --cache-memory, else most of a GPU's free memory; on a CPU enough for some
  /// thousands of tokens, but at most half of what is free.
  /// @pre `load`. @collective
  int64_t cache_bytes() const;

  /// What an answer depends on: {"weights": digest, "dtype"}.
  Json identity() const;
  Json layout_record() const;  ///< for provenance

private:
  ModelOptions const& options_;
  comm::Communicator const& world_;
  comm::ParallelLayout layout_;
  bool on_gpu_;
  std::string device_ = "cpu";  // or the GPU's name
  checkpoint::ModelConfig config_{};
  DType dtype_ = DType::fp32;
  std::vector<int32_t> stop_tokens_;
  std::string digest_;
  std::unique_ptr<model::Backend> backend_;
  std::optional<model::ParameterStore> store_;
};

}  // namespace refrain::inference
