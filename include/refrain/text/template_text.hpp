#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace refrain::text {

/// A model's own chat template, as it stands in its folder.
struct TemplateText {
  std::string text;            ///< "" where there is none
  std::filesystem::path file;  ///< where it stands
};

/// chat_template.jinja, else `chat_template` of tokenizer_config.json (a string, or a list where the one named
/// "default" counts), as transformers chooses. @throws Error on broken JSON or a template that is no text
TemplateText read_template_text(std::filesystem::path const& folder);

/// SHA-256 of the template with what Jinja does not see taken away: the kind of line ends, one line end at the end,
/// white space within tags outside of strings, comments; and with \n in strings written as the line feed it means.
std::string template_digest(std::string_view text);

}  // namespace refrain::text
