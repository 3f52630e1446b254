#include <refrain/text/unicode.hpp>

#include <catch2/catch.hpp>

using namespace refrain::text;

TEST_CASE("invalid UTF-8 is found at its first byte") {
  auto const npos = std::string_view::npos;
  CHECK(find_invalid_utf8("") == npos);
  CHECK(find_invalid_utf8("plain, \xC3\xA9, \xE2\x82\xAC, \xF0\x9F\x99\x82 \xF4\x8F\xBF\xBF") == npos);
  CHECK(find_invalid_utf8("0123456789\xFF") == 10);
  CHECK(find_invalid_utf8("a\xC0\x80") == 1);         // overlong
  CHECK(find_invalid_utf8("ab\xE0\x9F\xBF") == 2);    // overlong
  CHECK(find_invalid_utf8("abc\xED\xA0\x80") == 3);   // surrogate
  CHECK(find_invalid_utf8("\xF4\x90\x80\x80") == 0);  // beyond U+10FFFF
  CHECK(find_invalid_utf8("abcd\xE2\x82") == 4);      // cut off
  CHECK(find_invalid_utf8("\x80") == 0);
}

TEST_CASE("strip is Python's str.strip") {
  CHECK(strip(" \t\n\x1C\xC2\x85\xC2\xA0\xE1\x9A\x80 a b \xE3\x80\x80\xE2\x80\xA8\r\n") == "a b");
  CHECK(strip("\xE2\x80\x8B x \xE1\xA0\x8E") == "\xE2\x80\x8B x \xE1\xA0\x8E");  // U+200B and U+180E are no white space
  CHECK(strip(" \xC2\xA0 ").empty());
  CHECK(strip("").empty());
}

TEST_CASE("words and white space as Rust's regex has them") {
  for (char32_t const c : {U'a', U'_', U'\u00e9', U'7', U'\u0301', U'\u200d', U'\u4e2d'}) CHECK(is_word(c));
  for (char32_t const c : {U' ', U'-', U'\u2028', U'\u00bd', U'\U0001F642'}) CHECK_FALSE(is_word(c));
  CHECK(is_white_space(U'\u0085'));
  CHECK_FALSE(is_white_space(U'\u180e'));
  CHECK_FALSE(is_white_space(0x1C));
}

TEST_CASE("normalisation form C") {
  CHECK(to_nfc("plain") == "plain");
  CHECK(to_nfc("e\xCC\x81") == "\xC3\xA9");                                 // e and an acute accent
  CHECK(to_nfc("\xE2\x84\xAB") == "\xC3\x85");                              // the sign for angstrom
  CHECK(to_nfc("q\xCC\x87\xCC\xA3") == "q\xCC\xA3\xCC\x87");                // marks in their order
  CHECK(to_nfc("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB") == "\xED\x95\x9C");  // Hangul
  CHECK(to_nfc("\xE0\xA4\x95\xE0\xA4\xBC") == "\xE0\xA4\x95\xE0\xA4\xBC");  // excluded from composition
  CHECK(to_nfc("e\xE0\xA2\x98\xCC\x81") == "e\xE0\xA2\x98\xCC\x81");        // a mark of Unicode 14 stands between
  CHECK(to_nfc("\xEF\xAC\x81") == "\xEF\xAC\x81");                          // fi stays a ligature
}

TEST_CASE("what is not UTF-8 becomes one U+FFFD for each maximal part") {
  std::string const mark = "\xEF\xBF\xBD";
  CHECK(to_valid_utf8("a\xE2\x82z") == "a" + mark + "z");
  CHECK(to_valid_utf8("\xE2\x82\xAC\xF0\x9F") == "\xE2\x82\xAC" + mark);
  CHECK(to_valid_utf8("\xED\xA0\x80") == mark + mark + mark);
}

TEST_CASE("code points are read and written") {
  for (char32_t const c : {0x41u, 0xE9u, 0x20ACu, 0x1F642u}) {
    std::string text = "x";
    append_utf8(text, c);
    std::size_t at = 1;
    CHECK(next_code_point(text, at) == c);
    CHECK(at == text.size());
    CHECK(previous_code_point(text, text.size()) == 1);
  }
}
