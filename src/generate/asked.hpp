#pragma once

#include "answer_key.hpp"

#include <refrain/endpoint/chat.hpp>
#include <refrain/generate/options.hpp>
#include <refrain/h5/prompts_file.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace refrain::generate {

/// In which form whatever answers is asked.
enum class PromptForm {
  tokens,  ///< token ids, for a checkpoint
  turns    ///< messages, for a server
};

/// The answers that are asked for: `--samples` to each prompt of the file but those that are left out. Prompts that are
/// the same and have the same name share their answers. Answers are numbered in the order of the prompts.
class Asked {
public:
  /// @throws Error naming the prompt that has no messages, where those are wanted; if no prompt is left
  Asked(Options const& options, PromptForm form);

  h5::Prompts const& prompts() const noexcept { return prompts_; }
  int64_t left_out() const noexcept { return left_out_; }  ///< prompts
  int64_t size() const noexcept { return static_cast<int64_t>(keys_.size()); }
  AnswerKey const& key(int64_t answer) const { return keys_[static_cast<std::size_t>(answer)]; }
  /// Place in `prompts` of the (first) prompt that it answers.
  std::size_t prompt_of(int64_t answer) const { return prompt_of_[static_cast<std::size_t>(answer)]; }
  /// The number of an answer, or nothing if it is not asked for.
  std::optional<int64_t> find(AnswerKey const& key) const;
  /// Whether an answer of this name is asked for, be it to another prompt.
  bool has_name(AnswerKey key) const;

  /// The rows of the file that the answers become.
  struct Row {
    std::size_t prompt;  ///< place in `prompts`
    int64_t answer;
  };
  std::vector<Row> const& rows() const noexcept { return rows_; }

  std::vector<int32_t> tokens(std::size_t prompt) const;
  /// @throws Error naming the prompt if it has neither text nor turns, or turns that are none
  std::vector<endpoint::Message> messages(std::size_t prompt) const;
  Place place(std::size_t prompt) const;

private:
  std::string digest(std::size_t prompt, PromptForm form) const;
  void add(std::size_t prompt, AnswerKey key);

  std::filesystem::path path_;
  h5::Prompts prompts_;
  int64_t left_out_ = 0;
  std::vector<AnswerKey> keys_;
  std::vector<std::size_t> prompt_of_;
  std::map<AnswerKey, int64_t> numbers_;
  std::set<AnswerKey> names_;  // with no prompt
  std::vector<Row> rows_;
};

}  // namespace refrain::generate
