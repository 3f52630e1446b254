#include <refrain/judge/question.hpp>
#include <refrain/text/unicode.hpp>

#include "placeholders.hpp"

namespace refrain::judge {

std::vector<text::Turn> ask(Question const& question, std::string const& prompt, std::string const& response,
                            std::string const& language, bool show_prompt) {
  std::map<std::string, std::string_view> const values{
      {"prompt", text::strip(prompt)}, {"response", text::strip(response)}, {"language", language}};
  std::vector<text::Turn> turns;
  if (!question.system.empty()) turns.push_back({"system", with_values(question.system, values)});
  bool const hide = !show_prompt && !question.user_without_prompt.empty();
  turns.push_back({"user", with_values(hide ? question.user_without_prompt : question.user, values)});
  return turns;
}

}  // namespace refrain::judge
