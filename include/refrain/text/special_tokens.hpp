#pragma once

#include <refrain/text/added_tokens.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace refrain::text {

/// What the small files beside tokenizer.json say of special tokens, as transformers reads them.
struct SpecialTokens {
  std::string bos, eos;  ///< "" where there is none
  /// Tokens to find in the text beside tokenizer.json's own, in the order of their ids; they replace those of the same
  /// content.
  std::vector<AddedToken> added;
  bool split_special_tokens = false;  ///< special tokens inside a text are ordinary text

  /// Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json, and where none names them
  /// config.json's bos and eos ids, whose tokens `token_of` gives; each file may be absent. @throws Error naming file
  /// and key
  static SpecialTokens read(std::filesystem::path const& folder, std::vector<AddedToken> const& of_tokenizer,
                            std::function<std::string(int32_t id)> const& token_of);
};

}  // namespace refrain::text
