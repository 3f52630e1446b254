#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace refrain::text {

/// One message of a conversation.
struct Turn {
  std::string role, content;
};

/// What a template is written for.
enum class TemplateUse {
  chat,   ///< a conversation that the model goes on with
  guard,  ///< a conversation that the model judges
};

struct TemplateForm;
class Tokenizer;

/// Whether `date` is a day in the form of strftime's "%d %b %Y" in English: 26 Jul 2024.
bool is_template_date(std::string_view date) noexcept;

/// A declarative chat template (src/text/templates/*.json): a named family, or a JSON file of the same form.
class ChatTemplate {
public:
  /// `choice` is auto, a family's name or a JSON file. auto matches the model's own template text (chat_template in
  /// tokenizer_config.json, or chat_template.jinja beside it).
  /// @param date for a template that writes a day; "" for its own
  /// @throws Error where it matches none, saying how to name one, for a file that is not of the form, and for a date
  /// that the template would not write
  static ChatTemplate load(std::string const& choice, std::filesystem::path const& tokenizer_folder,
                           std::string const& date = {});

  std::string const& name() const noexcept;  ///< "llama-3", or what a user's file calls it
  TemplateUse use() const noexcept;
  std::string const& date() const noexcept;  ///< the day that it writes, "" for none
  /// The marks (<|im_start|>) that it writes around what turns say and `tokenizer` has no token for, each once: it
  /// writes them as ordinary text, which no model has learnt.
  std::vector<std::string> marks_without_token(Tokenizer const& tokenizer) const;
  /// The text that transformers' apply_chat_template(tokenize=False) gives. @throws Error where the template refuses
  /// the conversation (roles that do not alternate, a role without a form, no turns)
  std::string render(std::vector<Turn> const& turns, bool add_generation_prompt, std::string const& bos_token,
                     std::string const& eos_token) const;

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

private:
  explicit ChatTemplate(std::unique_ptr<TemplateForm> form);
  std::unique_ptr<TemplateForm> form_;
};

}  // namespace refrain::text
