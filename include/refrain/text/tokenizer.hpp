#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace refrain::text {

/// A tokenizer.json of Hugging Face's kind, byte-level BPE with a regex split (Llama 3, Qwen2) or SentencePiece-type
/// BPE with byte fallback (Llama 2): the same ids as the `tokenizers` library gives, loaded by transformers 5. What is
/// not understood is refused by name.
class Tokenizer {
public:
  /// From a folder with tokenizer.json (and tokenizer_config.json).
  /// @throws Error naming the file and what is not understood
  static Tokenizer load(std::filesystem::path const& folder);

  /// Special tokens inside the text become their ids, as in tokenizers' encode. Does not add begin-of-text
  /// (add_special_tokens=False). One call at a time: words are remembered. @throws Error if `text` is not UTF-8
  std::vector<int32_t> encode(std::string_view text) const;
  /// `encode`, with what the file's post-processor puts around one text (add_special_tokens=True): begin-of-text for
  /// Llama. @throws Error also if that post-processor is not understood
  std::vector<int32_t> encode_with_special(std::string_view text) const;
  /// Like Hugging Face's decode(skip_special_tokens); invalid bytes as U+FFFD, unknown ids as nothing.
  std::string decode(std::vector<int32_t> const& ids, bool skip_special) const;

  int64_t vocab_size() const noexcept;            ///< highest id + 1, added tokens included
  std::string const& bos_token() const noexcept;  ///< "" where there is none
  std::string const& eos_token() const noexcept;
  int32_t bos_id() const noexcept;  ///< -1 where there is none
  int32_t eos_id() const noexcept;

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace refrain::text
