#pragma once

#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace refrain::text {

/// tokenizer.json, with the two large parts of its model apart: hundreds of thousands of entries would be slow as a
/// JSON tree.
struct TokenizerFile {
  std::filesystem::path path;
  Json rest;  ///< everything else; `model` lacks `vocab` and `merges`
  std::vector<std::pair<std::string, int32_t>> vocab;
  std::vector<std::pair<std::string, std::string>> merges;

  /// @throws Error naming file, line and column of broken JSON, or the key of a wrong type
  static TokenizerFile read(std::filesystem::path const& path);
};

/// What decides the pipeline around a vocabulary and its merges.
enum class TokenizerClass {
  as_written,  ///< tokenizer.json
  llama,       ///< transformers 5's LlamaTokenizer
  qwen2,       ///< transformers 5's Qwen2Tokenizer
};

/// transformers 5 rebuilds a tokenizer of those two classes from its vocabulary and merges and does not use the
/// normalizer, pre_tokenizer and decoder of tokenizer.json: does the same to `file` where tokenizer_config.json or
/// config.json in `folder` names the class (LlamaTokenizer only if tokenizer.json is not byte-level) or config.json is
/// of a Qwen2 model. @returns the class that was applied. @throws Error naming file and key
TokenizerClass apply_tokenizer_class(TokenizerFile& file, std::filesystem::path const& folder);

/// An Error for a component of tokenizer.json that this program does not understand: "pre_tokenizer Digits".
[[noreturn]] void refuse_component(std::filesystem::path const& path, std::string const& component,
                                   std::string const& what);

}  // namespace refrain::text
