#include <refrain/judge/quality.hpp>
#include <refrain/text/unicode.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace refrain::judge {
namespace {

/// How long a loop must be: repeated so often, and over so many characters.
struct Least {
  std::size_t times, length;
};
constexpr Least with_letters{8, 120}, long_units{4, 400}, without_letters{8, 400}, counting{8, 200};
constexpr std::size_t counting_letters = 8, counting_words = 2;

enum class Digits { kept, alike };

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool ends_sentence(char32_t c) { return c == '.' || c == '!' || c == '?' || c == U'\u2026'; }

/// The text's characters from the last to the first, with one space for white space.
std::vector<char32_t> from_the_end(std::string_view text, Digits digits) {
  std::vector<char32_t> characters;
  characters.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    char32_t c = text::next_code_point(text, at);
    if (text::is_white_space(c)) c = ' ';
    if (digits == Digits::alike && is_digit(c)) c = '0';
    bool const once = c == ' ' || (digits == Digits::alike && c == '0');
    if (!once || characters.empty() || characters.back() != c) characters.push_back(c);
  }
  std::reverse(characters.begin(), characters.end());
  return characters;
}

/// Letters, and runs of them, among the first so many characters.
class LetterCounts {
public:
  explicit LetterCounts(std::span<char32_t const> characters) : letters_{0}, words_{0} {
    letters_.reserve(characters.size() + 1);
    words_.reserve(characters.size() + 1);
    bool inside = false;
    for (char32_t const c : characters) {
      bool const letter = text::is_letter(c);
      letters_.push_back(letters_.back() + letter);
      words_.push_back(words_.back() + (letter && !inside));
      inside = letter;
    }
  }
  std::size_t letters(std::size_t count) const { return letters_[count]; }
  /// Words that begin in the second time of a unit: in the first one may begin that is cut. @pre it is there twice
  std::size_t words_of_unit(std::size_t length) const { return words_[2 * length] - words_[length]; }

private:
  std::vector<std::size_t> letters_, words_;
};

bool is_loop(std::size_t length, std::size_t period, LetterCounts const& counts, Digits digits) {
  auto const reaches = [&](Least const& least) { return length >= least.times * period && length >= least.length; };
  if (digits == Digits::alike)
    return reaches(counting) && counts.letters(period) >= counting_letters &&
           counts.words_of_unit(period) >= counting_words;
  if (counts.letters(period) == 0) return reaches(without_letters);
  return reaches(with_letters) || reaches(long_units);
}

/// Whether some beginning of `characters` is a loop. The smallest period of the first n characters is n less the length
/// of their longest border (Knuth, Morris, Pratt 1977).
bool begins_with_loop(std::span<char32_t const> characters, Digits digits) {
  LetterCounts const counts(characters);
  std::vector<std::size_t> border(characters.size() + 1, 0);
  for (std::size_t n = 2; n <= characters.size(); ++n) {
    std::size_t k = border[n - 1];
    while (k > 0 && characters[k] != characters[n - 1]) k = border[k];
    if (characters[k] == characters[n - 1]) ++k;
    border[n] = k;
    if (is_loop(n, n - k, counts, digits)) return true;
  }
  return false;
}

bool ends_in_loop(std::string_view text) {
  for (Digits const digits : {Digits::kept, Digits::alike}) {
    auto const reversed = from_the_end(text, digits);
    std::span<char32_t const> characters = reversed;
    if (begins_with_loop(characters, digits)) return true;
    auto const tail =
        std::find_if(characters.begin(), characters.end(), [](char32_t c) { return c != ' ' && !ends_sentence(c); });
    if (tail == characters.begin()) continue;
    if (begins_with_loop(characters.subspan(static_cast<std::size_t>(tail - characters.begin())), digits)) return true;
  }
  return false;
}

bool is_empty(std::string_view text) {
  for (std::size_t at = 0; at < text.size();)
    if (char32_t const c = text::next_code_point(text, at); !text::is_white_space(c) && !text::is_control(c))
      return false;
  return true;
}

}  // namespace

Quality quality_of(std::string const& text) {
  std::string const valid = text::to_valid_utf8(text);
  return {.empty = is_empty(valid), .repetition = ends_in_loop(valid)};
}

}  // namespace refrain::judge
