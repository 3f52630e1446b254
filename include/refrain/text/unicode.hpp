#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace refrain::text {

/// Offset of the first byte that is not part of well-formed UTF-8 (surrogates and overlong forms are not), or npos.
std::size_t find_invalid_utf8(std::string_view text) noexcept;

/// The code point at `at`, which moves behind it. @pre `text` is well-formed UTF-8 and at < text.size()
char32_t next_code_point(std::string_view text, std::size_t& at) noexcept;
/// Where the code point that ends at `end` begins. @pre as above and end > 0
std::size_t previous_code_point(std::string_view text, std::size_t end) noexcept;
/// Adds a code point to a text.
void append_utf8(std::string& out, char32_t code_point);

/// Unicode's White_Space property, which Rust's regex and Oniguruma call \s.
bool is_white_space(char32_t code_point) noexcept;
/// What Rust's regex calls \w: Alphabetic, marks, decimal digits, connector punctuation and join controls.
bool is_word(char32_t code_point) noexcept;

/// General category L: letters of any script, without marks and digits.
bool is_letter(char32_t code_point) noexcept;
/// General categories Cc and Cf: controls, and what shapes text without being seen (zero-width space, byte order mark).
bool is_control(char32_t code_point) noexcept;

/// Python's str.strip: White_Space and the information separators U+001C to U+001F. @pre well-formed UTF-8
std::string_view strip(std::string_view text) noexcept;

/// Unicode's normalisation form C (UAX 15) as `tokenizers` 0.23 has it, with the tables of Unicode 9: a character that
/// is younger stays as it is, where it is.
/// @pre well-formed UTF-8. @throws Error beyond 2 GiB, which ICU does not count
std::string to_nfc(std::string text);

/// `bytes` with whatever is not UTF-8 as U+FFFD, one for each maximal part (as Rust's and Python's decoders do).
std::string to_valid_utf8(std::string_view bytes);

}  // namespace refrain::text
