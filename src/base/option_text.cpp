#include <refrain/base/option_text.hpp>

#include <algorithm>
#include <numeric>
#include <sstream>
#include <utility>

namespace refrain::option_text {
namespace {

/// Levenshtein's edit distance.
std::size_t distance(std::string const& a, std::string const& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j)
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])}));
  }
  return row.back();
}

}  // namespace

std::string suggestion(std::string const& word, std::vector<std::string> const& known, std::string const& prefix,
                       std::string const& otherwise) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (std::string const& name : known) {
    // One letter of three is another word: dpo is no slip for ipo.
    if (word.size() <= 3 && word.size() == name.size()) continue;
    // A beginning of a name is a likely slip too: --tensor for --tensor-parallel.
    std::size_t const cost = word.size() >= 3 && name.starts_with(word) ? 1 : distance(word, name);
    if (cost < least && cost < name.size()) least = cost, best = name;
  }
  return best.empty() ? otherwise : "did you mean " + prefix + best + "?";
}

std::string wrapped(std::string const& text, std::size_t indent, std::size_t width) {
  std::string out, word;
  std::size_t column = indent;
  std::istringstream words(text);
  while (words >> word) {
    if (column > indent && column + 1 + word.size() > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out;
}

}  // namespace refrain::option_text
