#include "placeholders.hpp"

#include <unicode/unistr.h>

#include <algorithm>

namespace refrain::judge {
namespace {

/// Calls `literal` for texts between placeholders and `name` for those, in order.
template <class Literal, class Name>
void walk(std::string_view text, Literal const& literal, Name const& name) {
  std::size_t from = 0;
  for (std::size_t open = text.find('{'); open != std::string_view::npos; open = text.find('{', open + 1)) {
    std::size_t const close = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", open + 1);
    if (close == std::string_view::npos || text[close] != '}' || close == open + 1) continue;
    literal(text.substr(from, open - from));
    name(std::string(text.substr(open + 1, close - open - 1)));
    from = close + 1;
  }
  literal(text.substr(from));
}

}  // namespace

std::vector<std::string> placeholders_of(std::string_view text) {
  std::vector<std::string> names;
  walk(text, [](std::string_view) {}, [&](std::string name) { names.push_back(std::move(name)); });
  return names;
}

std::string with_values(std::string_view text, std::map<std::string, std::string_view> const& values) {
  std::string out;
  walk(
      text, [&](std::string_view literal) { out += literal; },
      [&](std::string const& name) { out += values.at(name); });
  return out;
}

std::string lower_case(std::string_view text) {
  std::string folded;
  icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())))
      .foldCase()
      .toUTF8String(folded);
  return folded;
}

}  // namespace refrain::judge
