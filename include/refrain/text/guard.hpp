#pragma once

#include <refrain/text/chat_template.hpp>
#include <refrain/text/tokenizer.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace refrain::text {

/// The ids that a guard model reads to judge `response` as an answer to `prompt`, or `prompt` alone where there is no
/// response; what asks for the verdict stands at their end. Requests to one guard begin with the same ids (its policy),
/// and those about one prompt with more of them; where that ends lies in the ids alone, since a token may span the
/// border of two texts. @throws Error if the template is not a guard's, refuses the conversation (polyguard wants a
/// response), or a text is not UTF-8
std::vector<int32_t> guard_ids(ChatTemplate const& guard, Tokenizer const& tokenizer, std::string const& prompt,
                               std::optional<std::string> const& response);

/// The same for a conversation of several turns, of which the last is judged.
std::vector<int32_t> guard_ids(ChatTemplate const& guard, Tokenizer const& tokenizer, std::vector<Turn> const& turns);

}  // namespace refrain::text
