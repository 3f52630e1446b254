#include <refrain/judge/phrases.hpp>
#include <refrain/text/unicode.hpp>

#include "placeholders.hpp"

namespace refrain::judge {
namespace {

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
