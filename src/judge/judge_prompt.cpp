#include "judge_prompt.hpp"

#include <refrain/base/error.hpp>
#include <refrain/judge/question.hpp>

#include <algorithm>

namespace refrain::judge {
namespace {

constexpr char const* other_judge = "name a --judge that the checkpoint was made for, or its own checkpoint";

text::ChatTemplate load_template(Definition const& definition, Options const& options) {
  std::string const& guard = definition.question->guard_template;
  auto form = text::ChatTemplate::load(guard.empty() ? options.chat_template : guard, options.model.checkpoint);
  if (guard.empty() && form.use() == text::TemplateUse::guard)
    throw UsageError("the chat template " + form.name() + " is a guard's, and judge " + definition.name +
                         " asks by chat",
                     "name the --judge that the checkpoint was made for, or another --chat-template",
                     {.file = options.model.checkpoint});
  return form;
}

}  // namespace

JudgePrompt::JudgePrompt(Definition const& definition, Options const& options, checkpoint::ModelConfig const& config)
    : definition_(definition),
      question_(*definition.question),
      options_(options),
      tokenizer_(text::Tokenizer::load(options.model.checkpoint)),
      template_(load_template(definition, options)),
      begins_(tokenizer_.encode(question_.answer_begins)) {
  require_special_tokens(config);
  if (auto const& words = definition.answers.label_tokens)
    labels_ = {label_token(words->safe), label_token(words->unsafe)};
}

std::string const& JudgePrompt::label(bool unsafe) const {
  auto const& words = *definition_.answers.label_tokens;
  return unsafe ? words.unsafe : words.safe;
}

// A template of another model's writes its marks, such as <|eot_id|>, as mere text.
void JudgePrompt::require_special_tokens(checkpoint::ModelConfig const& config) const {
  auto const refuse = [&](std::string const& problem) {
    throw UsageError(problem, other_judge, {.file = options_.model.checkpoint / "tokenizer.json"});
  };
  if (auto const marks = template_.marks_without_token(tokenizer_); !marks.empty())
    refuse("the chat template " + template_.name() + " writes " + marks.front() +
           ", which is no token of this checkpoint");
  if (tokenizer_.vocab_size() > config.vocab_size)
    refuse("the tokenizer has " + std::to_string(tokenizer_.vocab_size()) + " ids, the model's vocab_size is " +
           std::to_string(config.vocab_size));
}

// In its place, since what stands before may decide which token begins a word.
int32_t JudgePrompt::label_token(std::string const& word) const {
  auto const ids = tokenizer_.encode(question_.answer_begins + word);
  bool const continues = ids.size() == begins_.size() + 1 && std::equal(begins_.begin(), begins_.end(), ids.begin());
  if (continues) return ids.back();
  throw UsageError("the label '" + word + "' of judge " + definition_.name +
                       " is not one token of this checkpoint, but " +
                       std::to_string(ids.size() - std::min(ids.size(), begins_.size())),
                   "read its label in the answer ('label' in place of 'label_tokens'), or name its own checkpoint",
                   {.file = options_.model.checkpoint / "tokenizer.json"});
}

std::vector<int32_t> JudgePrompt::question_ids(std::string const& prompt, std::string const& response,
                                               std::string const& language) const {
  if (!question_.guard_template.empty()) return text::guard_ids(template_, tokenizer_, prompt, response);
  return tokenizer_.encode(template_.render(ask(question_, prompt, response, language, options_.show_prompt), true,
                                            tokenizer_.bos_token(), tokenizer_.eos_token()));
}

std::vector<int32_t> JudgePrompt::ids(std::string const& prompt, std::string const& response,
                                      std::string const& language) const {
  auto ids = question_ids(prompt, response, language);
  ids.insert(ids.end(), begins_.begin(), begins_.end());
  return ids;
}

}  // namespace refrain::judge
