#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace refrain::checkpoint {

/// What differs between the architectures that share Llama's decoder. Another such family is an entry in
/// model_family.cpp.
struct ModelFamily {
  std::string_view model_type;  ///< as config.json has it
  bool qkv_bias;                ///< q, k and v have biases; config.json does not say so
  int64_t max_position_embeddings, num_key_value_heads;  ///< where config.json has none; 0: as many as heads
  bool names_unused_window;  ///< sliding_window may stand in config.json although use_sliding_window is false
};

/// Null if it is not known.
ModelFamily const* find_family(std::string_view model_type);

/// "llama and qwen2", for messages.
std::string known_families();

}  // namespace refrain::checkpoint
