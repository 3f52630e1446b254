#include <refrain/judge/definition.hpp>
#include <refrain/text/unicode.hpp>

#include "placeholders.hpp"

#include <algorithm>
#include <charconv>

namespace refrain::judge {
namespace {

/// The text's next line, stripped; it is taken off `rest`.
std::string_view next_line(std::string_view& rest) {
  std::size_t const end = std::min(rest.find('\n'), rest.size());
  std::string_view const line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return text::strip(line);
}

std::optional<std::string_view> find_spot(Spot const& spot, std::string_view text) {
  std::string const field = lower_case(spot.field);
  for (int number = 0; !text.empty();) {
    std::string_view const line = next_line(text);
    if (line.empty()) continue;
    if (field.empty()) {
      if (++number == spot.line) return line;
      continue;
    }
    std::size_t const colon = line.find(':');
    if (colon != std::string_view::npos && lower_case(text::strip(line.substr(0, colon))) == field)
      return text::strip(line.substr(colon + 1));
  }
  return std::nullopt;
}

std::optional<bool> read_words(std::optional<Words> const& words, std::string_view text) {
  if (!words) return std::nullopt;
  auto const value = find_spot(words->spot, text);
  if (!value) return std::nullopt;
  auto const found = words->values.find(lower_case(*value));
  if (found == words->values.end()) return std::nullopt;
  return found->second;
}

std::vector<std::string> read_categories(std::optional<Categories> const& categories, std::string_view text) {
  std::vector<std::string> list;
  if (!categories) return list;
  auto const value = find_spot(categories->spot, text);
  if (!value || lower_case(*value) == lower_case(categories->none)) return list;
  for (std::size_t begin = 0; begin <= value->size();) {
    std::size_t const end = std::min(value->find(',', begin), value->size());
    std::string_view const word = text::strip(value->substr(begin, end - begin));
    if (!word.empty()) list.emplace_back(word);
    begin = end + 1;
  }
  return list;
}

std::optional<int> read_score(std::optional<Score> const& score, std::string_view text) {
  if (!score) return std::nullopt;
  auto const value = find_spot(score->spot, text);
  if (!value) return std::nullopt;
  constexpr char const* digits = "0123456789";
  for (std::size_t begin = 0; (begin = value->find_first_of(digits, begin)) != std::string_view::npos;) {
    std::size_t const end = std::min(value->find_first_not_of(digits, begin), value->size());
    int number = 0;
    auto const [stop, problem] = std::from_chars(value->data() + begin, value->data() + end, number);
    if (problem == std::errc{} && number >= score->least && number <= score->most) return number;
    begin = end;
  }
  return std::nullopt;
}

/// For comparing phrases: without case, with one form of apostrophe.
std::string plain(std::string_view text) {
  std::string folded = lower_case(text);
  for (std::string_view const apostrophe : {"\u2019", "\u02BC", "\u2018"})
    for (std::size_t at = 0; (at = folded.find(apostrophe, at)) != std::string::npos; ++at)
      folded.replace(at, apostrophe.size(), 1, '\'');
  return folded;
}

/// The first `count` characters.
std::string_view beginning(std::string_view text, int64_t count) {
  std::size_t at = 0;
  for (int64_t i = 0; i < count && at < text.size(); ++i) text::next_code_point(text, at);
  return text.substr(0, at);
}

}  // namespace

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

Reading read_answer(Answers const& answers, std::string const& text) {
  std::string const valid = text::to_valid_utf8(text);
  return {.unsafe = read_words(answers.label, valid),
          .refusal = read_words(answers.refusal, valid),
          .categories = read_categories(answers.categories, valid),
          .score = read_score(answers.score, valid)};
}

std::optional<std::string> find_phrase(Definition const& definition, std::string const& response,
                                       std::string const& language) {
  std::string const valid = text::to_valid_utf8(response);
  std::string const begins = plain(beginning(text::strip(valid), definition.phrases_within));
  auto const find = [&](std::vector<std::string> const& phrases) -> std::optional<std::string> {
    for (std::string const& phrase : phrases)
      if (begins.find(plain(phrase)) != std::string::npos) return phrase;
    return std::nullopt;
  };
  if (auto const own = definition.phrases.find(language); own != definition.phrases.end()) return find(own->second);
  for (auto const& [other, phrases] : definition.phrases)
    if (auto const phrase = find(phrases)) return phrase;
  return std::nullopt;
}

}  // namespace refrain::judge
