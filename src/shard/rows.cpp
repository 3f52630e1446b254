#include <refrain/shard/rows.hpp>

#include <algorithm>
#include <limits>
#include <string_view>

namespace refrain::shard {
namespace {

bool has(Json const& row, char const* column) {
  auto const found = row.find(column);
  return found != row.end() && !found->is_null();
}

Error wrong_type(std::string const& column, Json const& value, std::string const& wanted, Place const& place) {
  return Error("column " + column + " is of type " + value.type_name() + ", " + wanted + " is wanted",
               "correct the row, or leave it out", place);
}

std::string label_text(Json const& row, char const* column, Place const& place) {
  if (!has(row, column)) return {};
  if (!row[column].is_string()) throw wrong_type(column, row[column], "a string", place);
  return row[column].get<std::string>();
}

void require_label(Json const& row, char const* column, Place const& place) {
  if (!has(row, column))
    throw Error(std::string("column ") + column + " is missing",
                "add it, or use --configuration all, which selects nothing by it", place);
}

Turns parse_turns(Json const& value, std::string const& column, Place const& place) {
  Turns turns;
  for (Json const& turn : value) {
    std::string const name = column + "[" + std::to_string(turns.size()) + "]";
    if (!turn.is_object()) throw wrong_type(name, turn, "an object with role and content", place);
    for (char const* key : {"role", "content"}) {
      if (!turn.contains(key)) throw Error("column " + name + " has no " + key, "a turn is {role, content}", place);
      if (!turn[key].is_string()) throw wrong_type(name + "." + key, turn[key], "a string", place);
    }
    if (has(turn, "tool_calls") && !turn["tool_calls"].empty())
      throw Error("column " + name + " has tool_calls, which the chat templates here do not render",
                  "leave the row out, or give ready token ids (prompt_ids, chosen_ids, rejected_ids)", place);
    turns.push_back({turn["role"].get<std::string>(), turn["content"].get<std::string>()});
  }
  return turns;
}

TokenIds parse_ids(Json const& row, char const* column, Place const& place) {
  if (!has(row, column)) throw Error(std::string("column ") + column + " is missing", "ready token ids need it", place);
  if (!row[column].is_array()) throw wrong_type(column, row[column], "a list of token ids", place);
  TokenIds ids;
  ids.reserve(row[column].size());
  for (Json const& id : row[column]) {
    if (!id.is_number_integer())
      throw wrong_type(column + ("[" + std::to_string(ids.size()) + "]"), id, "a token id", place);
    // Numbers outside int32 are clamped to ids that no vocabulary has, so that they are refused with the others.
    constexpr int64_t least = std::numeric_limits<int32_t>::min(), most = std::numeric_limits<int32_t>::max();
    int64_t const value = id.is_number_unsigned() && id.get<uint64_t>() > static_cast<uint64_t>(most)
                              ? most
                              : std::clamp(id.get<int64_t>(), least, most);
    ids.push_back(static_cast<int32_t>(value));
  }
  return ids;
}

bool same(text::Turn const& a, text::Turn const& b) { return a.role == b.role && a.content == b.content; }

/// TRL's extract_prompt (trl/data_utils.py): the turns that both answers begin with; where one answer is all of the
/// other's beginning, its last turn still belongs to the answers.
Parts<Turns> extract_prompt(Turns const& chosen, Turns const& rejected, Place const& place) {
  std::size_t const shorter = std::min(chosen.size(), rejected.size());
  std::size_t split = 0;
  while (split + 1 < shorter && same(chosen[split], rejected[split])) ++split;
  if (split == 0)
    throw Error("chosen and rejected have no turn in common, so there is no prompt",
                "add a prompt column, or begin both with the prompt's turns", place);
  auto const at = static_cast<std::ptrdiff_t>(split);
  return {{chosen.begin(), chosen.begin() + at},
          {chosen.begin() + at, chosen.end()},
          {rejected.begin() + at, rejected.end()}};
}

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

std::size_t start_of_code_point(std::string const& text, std::size_t at) {
  while (at > 0 && is_continuation(text[at])) --at;
  return at;
}

std::string_view code_point(std::string const& text, std::size_t at) {
  std::size_t end = at + 1;
  while (end < text.size() && is_continuation(text[end])) ++end;
  return std::string_view(text).substr(at, end - at);
}

/// The same for plain text, by code points; a space before the place where the answers part goes to the answers.
/// (Where the texts differ from the first character on, TRL looks at chosen[-1], which is chance; here the prompt is
/// empty.)
Parts<std::string> extract_prompt(std::string const& chosen, std::string const& rejected, Place const& place) {
  if (chosen.empty() || rejected.empty())
    throw Error(std::string("column ") + (chosen.empty() ? "chosen" : "rejected") +
                    " is empty and there is no prompt column",
                "leave the row out, or add a prompt column", place);
  // The last code point of the shorter text is never part of the prompt.
  std::size_t const limit =
      std::min(start_of_code_point(chosen, chosen.size() - 1), start_of_code_point(rejected, rejected.size() - 1));
  auto const differ =
      std::mismatch(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(limit), rejected.begin());
  std::size_t split = start_of_code_point(chosen, static_cast<std::size_t>(differ.first - chosen.begin()));
  if (split > 0 && chosen[split - 1] == ' ' && code_point(chosen, split) != code_point(rejected, split)) --split;
  return {chosen.substr(0, split), chosen.substr(split), rejected.substr(split)};
}

bool is_turns(Json const& value) { return value.is_array() && (value.empty() || value[0].is_object()); }

Turns required_turns(Json const& row, char const* column, Place const& place) {
  if (!row[column].is_array()) throw wrong_type(column, row[column], "a list of turns", place);
  if (row[column].empty()) throw Error(std::string("column ") + column + " has no turns", "leave the row out", place);
  return parse_turns(row[column], column, place);
}

std::string required_text(Json const& row, char const* column, Place const& place) {
  if (!row[column].is_string()) throw wrong_type(column, row[column], "a string", place);
  return row[column].get<std::string>();
}

/// The turns as a JSON list; nothing where there are none, and for one user turn with a text: readers make it of that.
std::string turns_text(Turns const& turns) {
  if (turns.empty()) return {};
  if (turns.size() == 1 && turns[0].role == "user" && !turns[0].content.empty()) return {};
  Json list = Json::array();
  for (text::Turn const& turn : turns) list.push_back({{"role", turn.role}, {"content", turn.content}});
  return dump_text(list);
}

void refuse_unrendered(Json const& row, Place const& place) {
  for (char const* column : {"tools", "chat_template_kwargs"})
    if (has(row, column) && !row[column].empty())
      throw Error(std::string("column ") + column + " is not empty, and the chat templates here do not render it",
                  "leave the row out, or give ready token ids (prompt_ids, chosen_ids, rejected_ids)", place);
}

}  // namespace

RowLabels parse_labels(Json const& row, LabelColumns columns, int64_t number, Place const& place) {
  if (columns != LabelColumns::optional) require_label(row, "lang", place);
  if (columns == LabelColumns::required)
    for (char const* column : {"row_id", "category"}) require_label(row, column, place);
  RowLabels labels{.row_id = number,
                   .language = label_text(row, "lang", place),
                   .category = label_text(row, "category", place),
                   .style = label_text(row, "style", place)};
  if (columns != LabelColumns::optional && labels.language.empty())
    throw Error("column lang is empty", "name the row's language, or use --configuration all", place);
  if (has(row, "row_id")) {
    Json const& value = row["row_id"];
    if (!value.is_number_integer()) throw wrong_type("row_id", value, "an integer", place);
    if (value.is_number_unsigned() && value.get<uint64_t>() > std::numeric_limits<int64_t>::max())
      throw Error("column row_id is " + dump_text(value) + ", beyond 64 bits", "number the rows from 0", place);
    labels.row_id = value.get<int64_t>();
  }
  if (has(row, "id")) {
    Json const& value = row["id"];
    if (!value.is_string() && !value.is_number_integer())
      throw wrong_type("id", value, "a string or an integer", place);
    labels.id = value.is_string() ? value.get<std::string>() : dump_text(value);
  }
  return labels;
}

PromptForm prompt_form(Json const& first_row) {
  if (has(first_row, "chosen_ids") || has(first_row, "rejected_ids") || has(first_row, "prompt_ids"))
    return PromptForm::token_ids;
  return has(first_row, "prompt") ? PromptForm::explicit_prompt : PromptForm::implicit_prompt;
}

PairContent parse_pair(Json const& row, PromptForm form, Place const& place) {
  if (form == PromptForm::token_ids)
    return Parts<TokenIds>{parse_ids(row, "prompt_ids", place), parse_ids(row, "chosen_ids", place),
                           parse_ids(row, "rejected_ids", place)};
  for (char const* column : {"chosen", "rejected"})
    if (!has(row, column))
      throw Error(std::string("column ") + column + " is missing",
                  "a pair has chosen and rejected, as turns or text, or prompt_ids, chosen_ids and rejected_ids",
                  place);
  bool const with_prompt = has(row, "prompt");
  if (with_prompt != (form == PromptForm::explicit_prompt))
    throw Error(with_prompt ? "the row has a prompt, though the file's first row has none"
                            : "column prompt is missing, though the file's first row has it",
                "keep rows with and without a prompt column in files of their own", place);
  refuse_unrendered(row, place);
  if (is_turns(row["chosen"])) {
    Turns chosen = required_turns(row, "chosen", place), rejected = required_turns(row, "rejected", place);
    // A prompt given as text beside whole conversations is there for people to read (as TRL's maybe_extract_prompt has
    // it).
    if (!with_prompt || row["prompt"].is_string()) return extract_prompt(chosen, rejected, place);
    return Parts<Turns>{required_turns(row, "prompt", place), std::move(chosen), std::move(rejected)};
  }
  if (!row["chosen"].is_string()) throw wrong_type("chosen", row["chosen"], "a string or a list of turns", place);
  std::string chosen = required_text(row, "chosen", place), rejected = required_text(row, "rejected", place);
  if (!with_prompt) return extract_prompt(chosen, rejected, place);
  return Parts<std::string>{required_text(row, "prompt", place), std::move(chosen), std::move(rejected)};
}

PromptContent parse_prompt(Json const& row, Place const& place) {
  refuse_unrendered(row, place);
  char const* column = has(row, "prompt") ? "prompt" : "messages";
  PromptContent prompt;
  if (has(row, column)) {
    bool const text = row[column].is_string() && row.contains("prompt");
    prompt.content = text ? Turns{{"user", row[column].get<std::string>()}} : required_turns(row, column, place);
  } else if (!has(row, "prompt_ids")) {
    throw Error("column prompt is missing", "a prompt is in prompt (a string or turns), messages (turns) or prompt_ids",
                place);
  }
  if (auto const* turns = std::get_if<Turns>(&prompt.content)) {
    auto const last =
        std::find_if(turns->rbegin(), turns->rend(), [](text::Turn const& turn) { return turn.role == "user"; });
    if (last != turns->rend()) prompt.text = last->content;
    prompt.turns = turns_text(*turns);
  }
  if (has(row, "prompt_ids")) prompt.content = parse_ids(row, "prompt_ids", place);
  return prompt;
}

}  // namespace refrain::shard
