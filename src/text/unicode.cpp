#include <refrain/base/error.hpp>
#include <refrain/text/unicode.hpp>

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>

#include <cstdint>
#include <cstring>
#include <limits>

namespace refrain::text {
namespace {

/// What stands at the start of some bytes: its length, and whether it is a code point. A broken one's length is that of
/// its longest part that could still have become a code point (Unicode's "maximal subpart").
struct Unit {
  std::size_t length;
  bool valid;
};

Unit first_unit(std::string_view bytes) noexcept {
  auto const at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  unsigned char const lead = at(0);
  if (lead < 0x80) return {1, true};
  std::size_t length = 0;
  unsigned char low = 0x80, high = 0xBF;  // of the second byte: narrower where overlong forms or surrogates would begin
  if (lead >= 0xC2 && lead <= 0xDF)
    length = 2;
  else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {1, false};
  }
  for (std::size_t i = 1; i < length; ++i) {
    if (i >= bytes.size() || at(i) < low || at(i) > high) return {i, false};
    low = 0x80, high = 0xBF;
  }
  return {length, true};
}

/// Normalisation form C, over all characters that ICU knows and over those of Unicode 9 alone.
struct FormC {
  UErrorCode status = U_ZERO_ERROR;
  icu::Normalizer2 const* all = icu::Normalizer2::getNFCInstance(status);
  icu::UnicodeSet known{icu::UnicodeString(u"[:age=9.0:]"), status};

  FormC() { known.freeze(); }
};

}  // namespace

std::size_t find_invalid_utf8(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size()) {
    if (uint64_t eight; at + 8 <= text.size()) {
      std::memcpy(&eight, text.data() + at, 8);
      if ((eight & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    Unit const unit = first_unit(text.substr(at));
    if (!unit.valid) return at;
    at += unit.length;
  }
  return std::string_view::npos;
}

char32_t next_code_point(std::string_view text, std::size_t& at) noexcept {
  auto const byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[at + i])); };
  char32_t const lead = byte(0);
  char32_t code_point = lead;
  std::size_t length = 1;
  if (lead >= 0xF0) {
    code_point = (lead & 7) << 18 | (byte(1) & 63) << 12 | (byte(2) & 63) << 6 | (byte(3) & 63);
    length = 4;
  } else if (lead >= 0xE0) {
    code_point = (lead & 15) << 12 | (byte(1) & 63) << 6 | (byte(2) & 63);
    length = 3;
  } else if (lead >= 0x80) {
    code_point = (lead & 31) << 6 | (byte(1) & 63);
    length = 2;
  }
  at += length;
  return code_point;
}

std::size_t previous_code_point(std::string_view text, std::size_t end) noexcept {
  do --end;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80)
    out += static_cast<char>(c);
  else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 63));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 63));
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  }
}

bool is_white_space(char32_t c) noexcept {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_word(char32_t c) noexcept {
  auto const point = static_cast<UChar32>(c);
  return (U_MASK(u_charType(point)) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0 ||
         u_hasBinaryProperty(point, UCHAR_ALPHABETIC) || u_hasBinaryProperty(point, UCHAR_JOIN_CONTROL);
}

bool is_letter(char32_t c) noexcept { return u_isalpha(static_cast<UChar32>(c)) != 0; }

bool is_control(char32_t c) noexcept {
  return (U_MASK(u_charType(static_cast<UChar32>(c))) & (U_GC_CC_MASK | U_GC_CF_MASK)) != 0;
}

std::string_view strip(std::string_view text) noexcept {
  auto const stripped = [](char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); };
  while (!text.empty()) {
    std::size_t at = 0;
    if (!stripped(next_code_point(text, at))) break;
    text.remove_prefix(at);
  }
  while (!text.empty()) {
    std::size_t const begin = previous_code_point(text, text.size());
    std::size_t at = begin;
    if (!stripped(next_code_point(text, at))) break;
    text = text.substr(0, begin);
  }
  return text;
}

std::string to_nfc(std::string text) {
  if (text.size() > static_cast<std::size_t>(std::numeric_limits<int32_t>::max()))
    throw Error("a text of " + std::to_string(text.size()) + " bytes is too long to be normalised", "shorten it");
  icu::StringPiece const source(text.data(), static_cast<int32_t>(text.size()));
  static FormC const form;
  UErrorCode status = form.status;
  // What is in the form over all characters is so over some of them, and is found out faster.
  if (U_SUCCESS(status) && form.all->isNormalizedUTF8(source, status)) return text;
  std::string out;
  icu::StringByteSink<std::string> sink(&out, source.length());
  if (U_SUCCESS(status))
    icu::FilteredNormalizer2(*form.all, form.known).normalizeUTF8(0, source, sink, nullptr, status);
  if (U_FAILURE(status)) throw Error(std::string("ICU cannot normalise a text: ") + u_errorName(status));
  return out;
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    Unit const unit = first_unit(bytes);
    if (unit.valid)
      out.append(bytes.substr(0, unit.length));
    else
      out += "\xEF\xBF\xBD";
    bytes.remove_prefix(unit.length);
  }
  return out;
}

}  // namespace refrain::text
