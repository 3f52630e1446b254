#ifdef REFRAIN_HAVE_FASTTEXT
#include <refrain/base/error.hpp>
#include <refrain/judge/language_identifier.hpp>
#include <refrain/text/unicode.hpp>

#include "fasttext_file.hpp"

#include <fasttext/fasttext.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <sstream>

namespace refrain::judge {
namespace {

bool has_letter(std::string_view text) {
  for (std::size_t at = 0; at < text.size();)
    if (text::is_letter(text::next_code_point(text, at))) return true;
  return false;
}

/// One line as fastText reads it: no line break, nor its word for one, but at the end.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::string const& end_of_line = fasttext::Dictionary::EOS;
  constexpr char const* separators = " \t\v\f\r";  // and '\0', as fastText's readWord has them
  auto const separates = [&](std::size_t at) {
    return at >= text.size() || text[at] == '\0' || std::string_view(separators).find(text[at]) != std::string::npos;
  };
  for (std::size_t at = 0; (at = text.find(end_of_line, at)) != std::string::npos; at += end_of_line.size())
    if ((at == 0 || separates(at - 1)) && separates(at + end_of_line.size()))
      text.replace(at, end_of_line.size(), end_of_line.size(), ' ');
  return text + "\n";
}

}  // namespace

struct LanguageIdentifier::Loaded {
  std::filesystem::path path;
  fasttext::FastText model;
};

LanguageIdentifier::LanguageIdentifier(std::filesystem::path const& path) : loaded_(std::make_unique<Loaded>()) {
  check_fasttext_file(path);
  loaded_->path = path;
  try {
    loaded_->model.loadModel(path.string());
  } catch (std::exception const& problem) {
    throw Error(std::string("fastText cannot load the language model: ") + problem.what(), "fetch it again",
                {.file = path});
  }
}

LanguageIdentifier::~LanguageIdentifier() = default;
LanguageIdentifier::LanguageIdentifier(LanguageIdentifier&&) noexcept = default;
LanguageIdentifier& LanguageIdentifier::operator=(LanguageIdentifier&&) noexcept = default;

std::optional<LanguageIdentifier::Guess> LanguageIdentifier::identify(std::string const& text) const {
  std::string const valid = text::to_valid_utf8(text);
  if (!has_letter(valid)) return std::nullopt;
  std::istringstream line(one_line(valid));
  std::vector<std::pair<fasttext::real, std::string>> best;
  try {
    loaded_->model.predictLine(line, best, 1, 0);
  } catch (std::exception const& problem) {
    throw Error(std::string("the language model cannot be used: ") + problem.what(), "fetch it again",
                {.file = loaded_->path});
  }
  if (best.empty()) return std::nullopt;  // no word of it is a feature of the model
  double const probability = best[0].first;
  if (!std::isfinite(probability))
    throw Error("the language model gives no probability", "fetch it again", {.file = loaded_->path});
  // fastText's logarithm adds 1e-5 to its argument, which may come back as a little above 1.
  return Guess{language_of_label(best[0].second), std::clamp(probability, 0.0, 1.0)};
}

}  // namespace refrain::judge
#endif
