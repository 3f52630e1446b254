#pragma once

#include <refrain/base/dtype.hpp>
#include <refrain/base/json_file.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace refrain::checkpoint {

/// Rotary embedding frequencies, as transformers' modeling_rope_utils.py knows them.
struct RopeScaling {
  enum class Type { none, linear, llama3 } type = Type::none;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;  ///< llama3
  int64_t original_max_position_embeddings = 8192;   ///< llama3
};

/// The config.json of a model of a known family, by its own names. Keys that would change the result and are not supported are refused,
/// never ignored.
struct ModelConfig {
  int64_t vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads,
      head_dim;
  int64_t max_position_embeddings;
  double rms_norm_eps, rope_theta, initializer_range;
  RopeScaling rope_scaling;
  bool tie_word_embeddings;
  DType dtype;  ///< what the file says the weights are stored in; fp32 if it does not
  std::string model_type = "llama";
  bool qkv_bias = false;

  /// @throws Error naming the key and what is supported
  static ModelConfig from_json(Json const& config, std::filesystem::path const& path);
  /// From `folder`/config.json. @throws Error also if it cannot be read
  static ModelConfig load(std::filesystem::path const& folder);
};

/// How tensor parallelism divides a parameter.
enum class Split {
  none,    ///< every tensor rank holds all of it
  rows,    ///< along axis 0 (output features, vocabulary)
  columns  ///< along axis 1 (input features)
};

/// One parameter of the model: its name and global shape are those of the Hugging Face file.
struct ParameterInfo {
  std::string name;
  Shape shape;
  Split split;
  int unit;  ///< 0 embedding; 1 + i block i; 1 + layers: last norm and head
};

/// All parameters in the order of the forward pass. With tied embeddings there is no lm_head.weight.
std::vector<ParameterInfo> parameter_list(ModelConfig const& config);

}  // namespace refrain::checkpoint
