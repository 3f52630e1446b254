#include <refrain/base/table.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace refrain {
namespace {

/// Code points, which is the width on a terminal for the scripts that tables hold.
std::size_t width_of(std::string const& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool is_number(std::string const& text) {
  static std::string const starts = "0123456789+-.";
  return !text.empty() && starts.find(text[0]) != std::string::npos &&
         text.find_first_of("0123456789") != std::string::npos;
}

}  // namespace

std::string format_table(std::vector<std::vector<std::string>> const& rows) {
  std::vector<std::size_t> widths;
  std::vector<bool> right;
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t c = 0; c < rows[r].size(); ++c) {
      if (c == widths.size()) widths.push_back(0), right.push_back(c > 0);
      widths[c] = std::max(widths[c], width_of(rows[r][c]));
      if (r > 0 && !rows[r][c].empty() && rows[r][c] != "-" && !is_number(rows[r][c])) right[c] = false;
    }
  std::string text;
  for (auto const& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      std::string const padding(widths[c] - width_of(row[c]), ' ');
      line += (c > 0 ? "  " : "") + (right[c] ? padding + row[c] : row[c] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string format_count(long long value) {
  std::string digits = std::to_string(value);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string format_number(double value) {
  std::array<char, 32> digits{};
  auto const end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  std::string text(digits.data(), end);
  // to_chars pads the exponent to two digits; 1e-06 is written 1e-6 everywhere in the field.
  if (auto const e = text.find('e'); e != std::string::npos) {
    std::size_t const first = e + 2;
    if (text[e + 1] == '+') text.erase(e + 1, 1);
    std::size_t const start = text[e + 1] == '-' ? first : e + 1;
    while (start + 1 < text.size() && text[start] == '0') text.erase(start, 1);
  }
  return text;
}

}  // namespace refrain
