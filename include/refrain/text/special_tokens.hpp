#pragma once

#include <refrain/text/added_tokens.hpp>
#include <refrain/text/tokenizer_file.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::text {

/// What the small files beside tokenizer.json say of special tokens, as transformers reads them.
struct SpecialTokens {
  std::string bos, eos;                    ///< "" where there is none
  int32_t bos_by_id = -1, eos_by_id = -1;  ///< config.json's, where no other file names the token; else -1
  /// Tokens to find in the text beside tokenizer.json's own, in the order of their ids; they replace those of the same
  /// content.
  std::vector<AddedToken> added;
  bool split_special_tokens = false;  ///< special tokens inside a text are ordinary text
  bool without_own = false;           ///< tokenizer.json's own are left out: a class built anew knows `added` alone

  /// Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json, and where none names them
  /// config.json's bos and eos ids; each file may be absent. A class may name tokens that the files do not.
  /// @throws Error naming file and key
  static SpecialTokens read(std::filesystem::path const& folder, TokenizerClass built_as,
                            std::vector<AddedToken> const& of_tokenizer);
};

}  // namespace refrain::text
