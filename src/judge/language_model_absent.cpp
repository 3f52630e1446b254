#ifndef REFRAIN_HAVE_FASTTEXT
#include <refrain/base/error.hpp>
#include <refrain/judge/language_model.hpp>

namespace refrain::judge {

struct LanguageModel::Loaded {};

LanguageModel::LanguageModel(std::filesystem::path const& path) {
  throw Error("this build cannot identify languages",
              "install libfasttext-dev and configure with -DREFRAIN_FASTTEXT=ON", {.file = path});
}

LanguageModel::~LanguageModel() = default;
LanguageModel::LanguageModel(LanguageModel&&) noexcept = default;
LanguageModel& LanguageModel::operator=(LanguageModel&&) noexcept = default;

std::optional<LanguageModel::Guess> LanguageModel::identify(std::string const&) const { return std::nullopt; }

}  // namespace refrain::judge
#endif
