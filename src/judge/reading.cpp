#include <refrain/judge/reading.hpp>
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

}  // namespace

Reading read_answer(Answers const& answers, std::string const& text) {
  std::string const valid = text::to_valid_utf8(text);
  return {.unsafe = read_words(answers.label, valid),
          .refusal = read_words(answers.refusal, valid),
          .categories = read_categories(answers.categories, valid),
          .score = read_score(answers.score, valid)};
}

}  // namespace refrain::judge
