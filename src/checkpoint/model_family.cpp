#include <refrain/checkpoint/model_family.hpp>

#include <algorithm>
#include <array>

namespace refrain::checkpoint {
namespace {

// Defaults are those of transformers' LlamaConfig and Qwen2Config.
constexpr std::array families{
    ModelFamily{.model_type = "llama",
                .qkv_bias = false,
                .max_position_embeddings = 2048,
                .num_key_value_heads = 0,
                .names_unused_window = false},
    ModelFamily{.model_type = "qwen2",  // Qwen2.5 too
                .qkv_bias = true,
                .max_position_embeddings = 32768,
                .num_key_value_heads = 32,
                .names_unused_window = true},
};

}  // namespace

ModelFamily const* find_family(std::string_view model_type) {
  auto const found = std::find_if(families.begin(), families.end(),
                                  [&](ModelFamily const& family) { return family.model_type == model_type; });
  return found == families.end() ? nullptr : &*found;
}

std::string known_families() {
  std::string names;
  for (std::size_t i = 0; i < families.size(); ++i)
    names += std::string(i == 0 ? "" : i + 1 < families.size() ? ", " : " and ") + std::string(families[i].model_type);
  return names;
}

}  // namespace refrain::checkpoint
