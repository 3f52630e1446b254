#include <refrain/shard/tokenization.hpp>

#include <refrain/base/joined.hpp>
#include <refrain/base/json_file.hpp>

#include <algorithm>

namespace refrain::shard {
namespace {

/// TRL's common_prefix_length (trl/data_utils.py).
template <class Sequence>
std::size_t common_prefix(Sequence const& a, Sequence const& b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

/// The prompt is what its own ids share with both renderings; each answer is the rest of its rendering.
Parts<TokenIds> part(TokenIds prompt, TokenIds const& with_chosen, TokenIds const& with_rejected) {
  std::size_t const length = std::min(common_prefix(prompt, with_chosen), common_prefix(prompt, with_rejected));
  prompt.resize(length);
  auto const at = static_cast<std::ptrdiff_t>(length);
  return {std::move(prompt),
          {with_chosen.begin() + at, with_chosen.end()},
          {with_rejected.begin() + at, with_rejected.end()}};
}

Turns joined(Turns const& prompt, Turns const& answer) {
  Turns all = prompt;
  all.insert(all.end(), answer.begin(), answer.end());
  return all;
}

/// An Error of text/ knows the problem, this row its place.
template <class Work>
auto at_place(Place const& place, Work const& work) {
  try {
    return work();
  } catch (Error const& error) {
    if (!error.place().file.empty()) throw;
    throw Error(error.problem(), error.remedy(), place);
  }
}

}  // namespace

std::string reason_of(Drop drop, int64_t max_length) {
  switch (drop) {
    case Drop::none: break;
    case Drop::prompt_fills_length: return "the prompt alone fills --max-length " + std::to_string(max_length);
    case Drop::empty_prompt: return "the prompt has no token";
    case Drop::empty_answer: return "an answer has no token";
  }
  return {};
}

RowTokenizer::RowTokenizer(std::filesystem::path folder, std::string chat_template, std::string template_date,
                           Tokenization tokenization, int64_t max_length)
    : folder_(std::move(folder)),
      chat_template_(std::move(chat_template)),
      template_date_(std::move(template_date)),
      tokenization_(tokenization),
      max_length_(max_length) {
  auto const config = folder_ / "config.json";
  if (std::filesystem::exists(config)) config_vocab_ = json_get<int64_t>(read_json(config), "vocab_size", config);
}

text::Tokenizer const& RowTokenizer::tokenizer() {
  if (!tokenizer_) {
    tokenizer_.emplace(text::Tokenizer::load(folder_));
    // Fewer ids than the model has rows are usual (padded embeddings); more would index past them.
    if (config_vocab_ && tokenizer_->vocab_size() > *config_vocab_)
      throw Error("the tokenizer has " + std::to_string(tokenizer_->vocab_size()) + " ids, the model's vocab_size is " +
                      std::to_string(*config_vocab_),
                  "give the model's own tokenizer", {.file = folder_ / "tokenizer.json"});
  }
  return *tokenizer_;
}

int64_t RowTokenizer::known_ids() { return config_vocab_ ? *config_vocab_ : tokenizer().vocab_size(); }

text::ChatTemplate const& RowTokenizer::chat_template() {
  if (!template_) template_.emplace(text::ChatTemplate::load(chat_template_, folder_, template_date_));
  return *template_;
}

std::string RowTokenizer::foreign_marks() const {
  return template_ && tokenizer_ ? refrain::joined(template_->marks_without_token(*tokenizer_)) : std::string();
}

std::string RowTokenizer::render(Turns const& turns, bool add_generation_prompt, Place const& place) {
  text::ChatTemplate const& form = chat_template();
  return at_place(place, [&] {
    return form.render(turns, add_generation_prompt, tokenizer().bos_token(), tokenizer().eos_token());
  });
}

TokenIds RowTokenizer::encode(std::string const& text, Place const& place) {
  return at_place(place, [&] { return tokenizer().encode(text); });
}

void RowTokenizer::check_ids(TokenIds const& ids, char const* column, Place const& place) {
  for (int32_t const id : ids)
    if (id < 0 || id >= known_ids())
      throw Error(std::string("column ") + column + " holds the token id " + std::to_string(id) +
                      ", the model knows 0 to " + std::to_string(known_ids() - 1),
                  "make the ids with the tokenizer of " + folder_.string(), place);
}

Parts<TokenIds> RowTokenizer::tokenise(Parts<Turns> const& parts, Place const& place) {
  if (chat_template().use() == text::TemplateUse::guard)
    throw Error("chat template " + chat_template().name() + " is a guard's, which renders no answer to be learnt",
                "name the template of a model that answers (--chat-template), or give the guard's own answers as text "
                "or ready token ids",
                place);
  auto const with_chosen = render(joined(parts.prompt, parts.chosen), false, place);
  auto const with_rejected = render(joined(parts.prompt, parts.rejected), false, place);
  auto prompt = render(parts.prompt, true, place);
  if (tokenization_ == Tokenization::trl)
    return part(encode(prompt, place), encode(with_chosen, place), encode(with_rejected, place));
  // TRL <= 0.27's apply_chat_template parts the texts, not the ids, by what the prompt shares with both.
  if (parts.prompt.back().role == "assistant")
    throw Error("the prompt ends with an assistant turn, which trl-legacy would continue",
                "end the prompt with a user turn, or use --tokenization trl", place);
  std::size_t length = std::min(common_prefix(prompt, with_chosen), common_prefix(prompt, with_rejected));
  // Python parts between code points, not inside one.
  while (length > 0 && length < prompt.size() && (static_cast<unsigned char>(prompt[length]) & 0xC0) == 0x80) --length;
  prompt.resize(length);
  return encode_apart({prompt, with_chosen.substr(prompt.size()), with_rejected.substr(prompt.size())}, place);
}

Parts<TokenIds> RowTokenizer::tokenise(Parts<std::string> const& parts, Place const& place) {
  if (tokenization_ == Tokenization::trl_legacy) return encode_apart(parts, place);
  std::string const& end = tokenizer().eos_token();
  if (end.empty())
    throw Error("the tokenizer names no eos_token, and answers in plain text end with it",
                "add eos_token to tokenizer_config.json, or give the pairs as turns",
                {.file = folder_ / "tokenizer_config.json"});
  auto const ended = [&](std::string const& answer) { return answer.ends_with(end) ? answer : answer + end; };
  return at_place(place, [&] {
    return part(tokenizer().encode_with_special(parts.prompt),
                tokenizer().encode_with_special(parts.prompt + ended(parts.chosen)),
                tokenizer().encode_with_special(parts.prompt + ended(parts.rejected)));
  });
}

Parts<TokenIds> RowTokenizer::tokenise(Parts<TokenIds> const& parts, Place const& place) {
  check_ids(parts.prompt, "prompt_ids", place);
  check_ids(parts.chosen, "chosen_ids", place);
  check_ids(parts.rejected, "rejected_ids", place);
  return parts;
}

Parts<TokenIds> RowTokenizer::encode_apart(Parts<std::string> const& parts, Place const& place) {
  if (tokenizer().eos_id() < 0)
    throw Error("the tokenizer names no eos_token, and trl-legacy appends it to every answer",
                "add eos_token to tokenizer_config.json, or use --tokenization trl",
                {.file = folder_ / "tokenizer_config.json"});
  Parts<TokenIds> ids{encode(parts.prompt, place), encode(parts.chosen, place), encode(parts.rejected, place)};
  ids.chosen.push_back(tokenizer().eos_id());
  ids.rejected.push_back(tokenizer().eos_id());
  return ids;
}

TokenPair RowTokenizer::pair(PairContent const& content, Place const& place) {
  TokenPair pair{.ids = std::visit([&](auto const& parts) { return tokenise(parts, place); }, content)};
  auto const prompt = static_cast<int64_t>(pair.ids.prompt.size());
  if (prompt >= max_length_)
    pair.drop = Drop::prompt_fills_length;
  else if (prompt == 0)
    pair.drop = Drop::empty_prompt;
  else if (pair.ids.chosen.empty() || pair.ids.rejected.empty())
    pair.drop = Drop::empty_answer;
  if (pair.drop != Drop::none) {
    pair.ids = {};
    return pair;
  }
  // TRL's collator (keep_start) cuts prompt + answer at max_length.
  auto const room = static_cast<std::size_t>(max_length_ - prompt);
  pair.chosen_cut = pair.ids.chosen.size() > room;
  pair.rejected_cut = pair.ids.rejected.size() > room;
  if (pair.chosen_cut) pair.ids.chosen.resize(room);
  if (pair.rejected_cut) pair.ids.rejected.resize(room);
  return pair;
}

TokenIds RowTokenizer::prompt(PromptContent const& content, Place const& place) {
  if (auto const* ids = std::get_if<TokenIds>(&content.content)) {
    check_ids(*ids, "prompt_ids", place);
    if (ids->empty()) throw Error("column prompt_ids is empty", "nothing can follow it: leave the row out", place);
    return *ids;
  }
  return encode(render(std::get<Turns>(content.content), true, place), place);
}

}  // namespace refrain::shard
