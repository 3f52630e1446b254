#include <refrain/text/added_tokens.hpp>
#include <refrain/text/unicode.hpp>

#include <algorithm>

namespace refrain::text {

AddedToken AddedToken::from_json(Json const& value, std::filesystem::path const& path) {
  AddedToken token;
  token.content = json_get<std::string>(value, "content", path);
  token.single_word = json_get_or<bool>(value, "single_word", false, path);
  token.lstrip = json_get_or<bool>(value, "lstrip", false, path);
  token.rstrip = json_get_or<bool>(value, "rstrip", false, path);
  token.special = json_get_or<bool>(value, "special", false, path);
  token.normalized = json_get_or<bool>(value, "normalized", !token.special, path);
  return token;
}

void TokenFinder::add(std::string const& pattern, AddedToken const& token, bool passed_over) {
  if (pattern.empty()) return;
  auto& lengths = lengths_of_[static_cast<unsigned char>(pattern[0])];
  auto const length = static_cast<uint32_t>(pattern.size());
  auto const place = std::lower_bound(lengths.begin(), lengths.end(), length, std::greater<>());
  if (place == lengths.end() || *place != length) lengths.insert(place, length);
  by_pattern_.set(pattern, static_cast<uint32_t>(entries_.size()));
  entries_.push_back({token, passed_over});
}

TokenFinder::Match TokenFinder::find(std::string_view text, std::size_t from) const noexcept {
  for (std::size_t at = from; at < text.size(); ++at)
    for (uint32_t const length : lengths_of_[static_cast<unsigned char>(text[at])]) {
      if (at + length > text.size()) continue;
      uint32_t const* const entry = by_pattern_.find(text.substr(at, length));
      if (entry) return {&entries_[*entry], at, at + length};
    }
  return {};
}

bool TokenFinder::stretch(std::string_view text, AddedToken const& token, std::size_t behind, std::size_t& begin,
                          std::size_t& end) {
  if (token.single_word) {
    if (begin > 0) {
      std::size_t at = previous_code_point(text, begin);
      if (is_word(next_code_point(text, at))) return false;
    }
    if (std::size_t at = end; end < text.size() && is_word(next_code_point(text, at))) return false;
  }
  if (token.lstrip)
    while (begin > behind) {
      std::size_t const previous = previous_code_point(text, begin);
      std::size_t at = previous;
      if (previous < behind || !is_white_space(next_code_point(text, at))) break;
      begin = previous;
    }
  if (token.rstrip)
    while (end < text.size()) {
      std::size_t at = end;
      if (!is_white_space(next_code_point(text, at))) break;
      end = at;
    }
  return true;
}

}  // namespace refrain::text
