#ifndef REFRAIN_HAVE_FASTTEXT
#include <refrain/base/error.hpp>
#include <refrain/judge/language_identifier.hpp>

namespace refrain::judge {

struct LanguageIdentifier::Loaded {};

LanguageIdentifier::LanguageIdentifier(std::filesystem::path const& path) {
  throw Error("this build cannot identify languages",
              "install libfasttext-dev and configure with -DREFRAIN_FASTTEXT=ON", {.file = path});
}

LanguageIdentifier::~LanguageIdentifier() = default;
LanguageIdentifier::LanguageIdentifier(LanguageIdentifier&&) noexcept = default;
LanguageIdentifier& LanguageIdentifier::operator=(LanguageIdentifier&&) noexcept = default;

std::optional<LanguageIdentifier::Guess> LanguageIdentifier::identify(std::string const&) const { return std::nullopt; }

}  // namespace refrain::judge
#endif
