#pragma once

#include <refrain/base/error.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/text/chat_template.hpp>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace refrain::shard {

/// What a row says about itself, beside its text.
struct RowLabels {
  int64_t row_id = 0;  ///< groups rows: a group is never on both sides of a split
  std::string id, language, category, style;
};

/// Which of `lang`, `row_id` and `category` must be there. One that is not becomes empty, the row's number, empty.
enum class LabelColumns {
  optional,           ///< none: nothing is selected by them
  language_required,  ///< prompts, of which evaluation sets publish no category
  required            ///< all three: pairs that are selected, split and counted
};

/// @param number the row's number over all input files, from 0. @throws Error naming the place and the column
RowLabels parse_labels(Json const& row, LabelColumns columns, int64_t number, Place const& place);

/// The three parts of a pair in one of the forms that they come in.
template <class T>
struct Parts {
  T prompt, chosen, rejected;
};
using Turns = std::vector<text::Turn>;
using TokenIds = std::vector<int32_t>;
/// A conversation that a chat template renders, text that is encoded as it is, or ids that are ready.
using PairContent = std::variant<Parts<Turns>, Parts<std::string>, Parts<TokenIds>>;

/// Where the pairs of a file have their prompts; like TRL, the first row says it for all of the file.
enum class PromptForm { explicit_prompt, implicit_prompt, token_ids };
/// By the columns that it has: token ids before a prompt of its own.
PromptForm prompt_form(Json const& first_row);

/// The content of a pair, an implicit prompt parted from the answers. @throws Error naming the place and the column
PairContent parse_pair(Json const& row, PromptForm form, Place const& place);

/// A prompt to be answered: turns, or token ids that are ready.
struct PromptContent {
  std::variant<Turns, TokenIds> content;
  std::string text;   ///< the last user turn as given
  std::string turns;  ///< the conversation as JSON, where it is not one user turn with a text
};
/// From `prompt` (a string or turns), `messages` or `prompt_ids`. @throws Error naming the place and the column
PromptContent parse_prompt(Json const& row, Place const& place);

}  // namespace refrain::shard
