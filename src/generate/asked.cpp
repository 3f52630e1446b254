#include "asked.hpp"

#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/guarded_category.hpp>

#include <span>

namespace refrain::generate {
namespace {

/// A text and its length, so that two of them in a row are no third one.
void update(Xxh3& digest, std::string const& text) {
  std::string const sized = std::to_string(text.size()) + ":" + text;
  digest.update(std::as_bytes(std::span(sized)));
}

}  // namespace

Asked::Asked(Options const& options, PromptForm form)
    : path_(options.prompts), prompts_(h5::read_prompts(options.prompts)) {
  bool const with_category = !options.include_category.empty();
  for (std::size_t i = 0; i < prompts_.row_id.size(); ++i) {
    if (!with_category && prompts_.category[i] == guarded_category) {
      ++left_out_;
      continue;
    }
    AnswerKey key{.language = prompts_.language[i],
                  .row_id = prompts_.row_id[i],
                  .id = prompts_.id[i],
                  .prompt = digest(i, form)};
    for (; key.sample < options.samples; ++key.sample) add(i, key);
  }
  if (rows_.empty())
    throw Error("no prompt is left to answer",
                prompts_.size() == 0 ? "name prompts" : "all are of category S4: see --include-category",
                {.file = path_});
}

void Asked::add(std::size_t prompt, AnswerKey key) {
  auto const [entry, is_new] = numbers_.try_emplace(key, size());
  rows_.push_back({prompt, entry->second});
  if (!is_new) return;
  keys_.push_back(key);
  prompt_of_.push_back(prompt);
  key.prompt.clear();
  names_.insert(std::move(key));
}

std::optional<int64_t> Asked::find(AnswerKey const& key) const {
  auto const found = numbers_.find(key);
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

bool Asked::has_name(AnswerKey key) const {
  key.prompt.clear();
  return names_.contains(key);
}

Place Asked::place(std::size_t prompt) const { return {.file = path_, .object = "prompt " + std::to_string(prompt)}; }

std::vector<int32_t> Asked::tokens(std::size_t prompt) const {
  auto const first = prompts_.tokens.begin() + prompts_.begin[prompt];
  return {first, first + prompts_.length[prompt]};
}

std::vector<endpoint::Message> Asked::messages(std::size_t prompt) const {
  if (prompts_.turns.empty() || prompts_.turns[prompt].empty()) {
    if (prompts_.text[prompt].empty())
      throw Error("the prompt has token ids and no text, which a server cannot be asked",
                  "give prompt or messages beside prompt_ids to refrain-shard, or answer with --checkpoint",
                  place(prompt));
    return {{"user", prompts_.text[prompt]}};
  }
  Json const turns = Json::parse(prompts_.turns[prompt], nullptr, false);
  std::vector<endpoint::Message> messages;
  for (Json const& turn : turns) {
    if (!turn.is_object() || !turn.contains("role") || !turn.contains("content") || !turn["role"].is_string() ||
        !turn["content"].is_string())
      break;
    messages.push_back({turn["role"].get<std::string>(), turn["content"].get<std::string>()});
  }
  if (!turns.is_array() || turns.empty() || messages.size() != turns.size())
    throw Error("/prompt/turns is no list of turns", "make the file again with refrain-shard", place(prompt));
  return messages;
}

std::string Asked::digest(std::size_t prompt, PromptForm form) const {
  Xxh3 digest;
  if (form == PromptForm::tokens) {
    auto const ids = tokens(prompt);
    digest.update(std::as_bytes(std::span(ids)));
  } else {
    for (auto const& message : messages(prompt)) {
      update(digest, message.role);
      update(digest, message.content);
    }
  }
  return digest.hex();
}

}  // namespace refrain::generate
