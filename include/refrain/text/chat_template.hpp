#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace refrain::text {

/// One message of a conversation.
struct Turn {
  std::string role, content;
};

/// A declarative chat template (src/text/templates/*.json): a named family, or a JSON file of the same form.
class ChatTemplate {
public:
  /// `choice` is auto, a family's name or a JSON file. auto matches the model's own template text (chat_template in
  /// tokenizer_config.json, or chat_template.jinja beside it).
  /// @throws Error where it matches none, saying how to name one, and for a file that is not of the form
  static ChatTemplate load(std::string const& choice, std::filesystem::path const& tokenizer_folder);

  std::string const& name() const noexcept;  ///< "llama-3", or what a user's file calls it
  /// The text that transformers' apply_chat_template(tokenize=False) gives. @throws Error where the template refuses
  /// the conversation (roles that do not alternate, a role without a form, no turns)
  std::string render(std::vector<Turn> const& turns, bool add_generation_prompt, std::string const& bos_token,
                     std::string const& eos_token) const;

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

private:
  struct State;
  explicit ChatTemplate(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace refrain::text
