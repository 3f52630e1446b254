#pragma once

#include <refrain/checkpoint/model_config.hpp>
#include <refrain/judge/definition.hpp>
#include <refrain/judge/options.hpp>
#include <refrain/text/guard.hpp>
#include <refrain/text/tokenizer.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace refrain::judge {

/// A definition's question in the tokens of the checkpoint that is asked.
class JudgePrompt {
public:
  /// @throws Error, UsageError where the checkpoint's vocabulary or chat template does not suit the judge.
  /// @pre the definition asks a model; `definition` and `options` outlive it
  JudgePrompt(Definition const& definition, Options const& options, checkpoint::ModelConfig const& config);

  /// What the model reads; what it writes is its answer.
  std::vector<int32_t> ids(std::string const& prompt, std::string const& response, std::string const& language) const;
  int64_t max_tokens() const noexcept { return question_.max_tokens; }  ///< of the answer
  std::string text(std::vector<int32_t> const& answer) const { return tokenizer_.decode(answer, true); }

  bool reads_labels() const noexcept { return !labels_.empty(); }          ///< likelihoods in place of an answer
  std::vector<int32_t> const& labels() const noexcept { return labels_; }  ///< safe, unsafe
  std::string const& label(bool unsafe) const;
  bool reads_categories() const noexcept { return definition_.answers.categories.has_value(); }
  std::string const& chat_template() const noexcept { return template_.name(); }

private:
  void require_special_tokens(checkpoint::ModelConfig const& config) const;
  int32_t label_token(std::string const& word) const;
  std::vector<int32_t> question_ids(std::string const& prompt, std::string const& response,
                                    std::string const& language) const;

  Definition const& definition_;
  Question const& question_;
  Options const& options_;
  text::Tokenizer tokenizer_;
  text::ChatTemplate template_;
  std::vector<int32_t> begins_, labels_;
};

}  // namespace refrain::judge
