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

  /// From the post-processor of tokenizer.json alone: transformers 5 does not look at add_bos_token and add_eos_token
  /// of tokenizer_config.json where there is a tokenizer.json. @throws Error if the post-processor's parts are broken
  static TextFrame read(Json const& post_processor, std::filesystem::path const& path);
};

}  // namespace refrain::text
