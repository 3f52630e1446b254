#pragma once

#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::text {

/// The special tokens that stand around one text where they are asked for (add_special_tokens=True).
struct TextFrame {
  std::vector<int32_t> before, after;
  std::string unknown;  ///< type of a post-processor that is not understood; only using the frame is an error then

  /// As transformers 5 (tokenization_utils_tokenizers.py): add_bos_token or add_eos_token in tokenizer_config.json say all
  /// there is to say; without them the post-processor of tokenizer.json does.
  /// @param config tokenizer_config.json. @throws Error naming the key if the post-processor's parts are broken
  static TextFrame read(Json const& post_processor, Json const& config, int32_t bos_id, int32_t eos_id,
                        std::filesystem::path const& path);
};

}  // namespace refrain::text
