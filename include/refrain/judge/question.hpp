#pragma once

#include <refrain/judge/definition.hpp>
#include <refrain/text/chat_template.hpp>

#include <string>
#include <vector>

namespace refrain::judge {

/// The conversation that asks about a response. @pre `question` is there and names no guard template
std::vector<text::Turn> ask(Question const& question, std::string const& prompt, std::string const& response,
                            std::string const& language, bool show_prompt);

}  // namespace refrain::judge
