#pragma once

#include <refrain/shard/rows.hpp>
#include <refrain/text/chat_template.hpp>
#include <refrain/text/tokenizer.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace refrain::shard {

/// How a pair becomes token ids.
enum class Tokenization {
  trl,        ///< TRL 1.16's DPOTrainer: the prompt ends where its ids and those of prompt + answer diverge
  trl_legacy  ///< TRL up to 0.27: prompt and answers encoded apart, the end token appended to each answer once more
};

/// Why a pair is left out.
enum class Drop {
  none,
  prompt_fills_length,  ///< the prompt alone fills --max-length, so that no answer would be left: TRL drops it too
  empty_prompt,         ///< no token of the prompt is left, so that nothing predicts the first token of the answers
  empty_answer          ///< an answer without tokens teaches nothing, and ipo would divide by its length
};

/// In words: "the prompt alone fills --max-length 1024". @pre not none
std::string reason_of(Drop drop, int64_t max_length);

/// A pair as token ids, cut to the length allowed.
struct TokenPair {
  Parts<TokenIds> ids;
  bool chosen_cut = false, rejected_cut = false;  ///< whether that answer lost tokens to the length allowed
  Drop drop = Drop::none;                         ///< if any, `ids` is empty
};

/// Renders and encodes rows for one model. Tokenizer and template are loaded when a row first needs them, so that ready
/// token ids pass where either is not understood.
class RowTokenizer {
public:
  /// @param folder tokenizer.json and the like; a config.json there says how many ids the model knows
  /// @param chat_template auto, a family's name, or a JSON file
  /// @param template_date the day that the template writes, "" for its own
  /// @param max_length tokens of prompt and answer together
  RowTokenizer(std::filesystem::path folder, std::string chat_template, std::string template_date,
               Tokenization tokenization, int64_t max_length);

  /// The pair's ids, or why it is dropped. @throws Error naming the place
  TokenPair pair(PairContent const& content, Place const& place);
  /// The ids of a prompt with what asks for an answer behind it; never cut. @throws Error naming the place
  TokenIds prompt(PromptContent const& content, Place const& place);

  /// Name of the chat template that was used, or "" if no row needed one.
  std::string template_name() const { return template_ ? template_->name() : std::string(); }
  /// The day that it writes, or "".
  std::string template_date() const { return template_ ? template_->date() : std::string(); }
  /// Its marks for which the tokenizer has no token: "<|im_start|>, <|im_end|>", or "".
  std::string foreign_marks() const;

private:
  text::Tokenizer const& tokenizer();
  text::ChatTemplate const& chat_template();
  std::string render(Turns const& turns, bool add_generation_prompt, Place const& place);
  TokenIds encode(std::string const& text, Place const& place);
  void check_ids(TokenIds const& ids, char const* column, Place const& place);
  int64_t known_ids();
  Parts<TokenIds> tokenise(Parts<Turns> const& parts, Place const& place);
  Parts<TokenIds> tokenise(Parts<std::string> const& parts, Place const& place);
  Parts<TokenIds> tokenise(Parts<TokenIds> const& parts, Place const& place);
  Parts<TokenIds> encode_apart(Parts<std::string> const& parts, Place const& place);

  std::filesystem::path folder_;
  std::string chat_template_, template_date_;
  Tokenization tokenization_;
  int64_t max_length_;
  std::optional<int64_t> config_vocab_;
  std::optional<text::Tokenizer> tokenizer_;
  std::optional<text::ChatTemplate> template_;
};

}  // namespace refrain::shard
