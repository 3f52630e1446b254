#pragma once

#include <refrain/checkpoint/model_config.hpp>
#include <refrain/checkpoint/tensor_source.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// LoRA adapters (arXiv 2106.09685) as PEFT writes them: y = x W^T + s (x A^T) B^T, for matrices of the blocks alone.
namespace refrain::checkpoint {

/// adapter_config.json. Keys that would change the result and are not supported are refused, never ignored.
struct AdapterConfig {
  int64_t rank = 0;
  double alpha = 0;
  std::vector<std::string> targets;  ///< some of adapter_targets(), in that order
  bool rslora = false;

  /// What x A^T B^T is multiplied by: alpha / rank, or alpha / sqrt(rank) (rsLoRA, arXiv 2312.03732).
  double scale() const;
  /// @throws Error naming the key and what is supported
  static AdapterConfig from_json(Json const& config, std::filesystem::path const& path);
  /// From `folder`/adapter_config.json.
  static AdapterConfig load(std::filesystem::path const& folder);
  /// As PEFT reads it. `base` is the model that it belongs to, as a path or a name.
  Json to_json(std::string const& base) const;

  bool operator==(AdapterConfig const&) const = default;
};

/// The matrices that an adapter can have, in a block's order: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj,
/// down_proj.
std::vector<std::string> const& adapter_targets();
/// `names` (of modules: "q_proj", "self_attn.q_proj"; "all-linear" is all) in the order of adapter_targets().
/// @throws Error for a name that no block has, naming those that there are, and where there is none
std::vector<std::string> parse_targets(std::vector<std::string> const& names, Place const& place);

/// All parameters of an adapter of this model: of each block first every A [rank, in], then every B [out, rank], in the
/// order of adapter_targets(). Their unit is that of the block + number of blocks + 1: what is trained is apart from
/// what is frozen. Tensor ranks divide B where the target's rows are divided, and A where its columns are.
std::vector<ParameterInfo> adapter_parameters(ModelConfig const& model, AdapterConfig const& adapter);

/// Its two parameters of the matrix "model.layers.0.self_attn.q_proj.weight".
std::string lora_a_name(std::string_view matrix);
std::string lora_b_name(std::string_view matrix);

/// Whether the folder has adapter_config.json.
bool is_adapter(std::filesystem::path const& folder);

/// An adapter, open for reading: our checkpoint, or a folder that PEFT wrote. Names of tensors are the model's, without
/// PEFT's "base_model.model." before them.
struct Adapter {
  AdapterConfig config;
  std::unique_ptr<TensorSource> tensors;
};

/// @throws Error if the folder holds no adapter, or its tensors are not those that its configuration says
Adapter open_adapter(std::filesystem::path const& folder);
/// @throws Error unless the adapter's tensors are exactly those that it has for this model
void require_fit(Adapter const& adapter, ModelConfig const& model);

/// The adapter that training starts from: A uniform in +-1 / sqrt(in) (PEFT's kaiming_uniform_ with a = sqrt(5)), B 0.
/// A value depends on seed, tensor name and its index alone.
std::unique_ptr<TensorSource> initial_adapter(ModelConfig const& model, AdapterConfig const& adapter, uint64_t seed);

/// The model with the adapter's products added to its matrices, W + s B A, computed in fp32 and given in the model's
/// own types. Both must outlive it. @throws Error as require_fit
std::unique_ptr<TensorSource> merged_model(TensorSource const& base, Adapter const& adapter);

/// PEFT's name of one of our tensors.
std::string peft_name(std::string const& name);

inline constexpr char const* adapter_config_name = "adapter_config.json";
inline constexpr char const* adapter_weights_name = "adapter_model.safetensors";

}  // namespace refrain::checkpoint
