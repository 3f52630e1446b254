#include <refrain/base/error.hpp>
#include <refrain/base/guarded_category.hpp>

#include <cctype>
#include <string_view>

namespace refrain {

bool names_guarded(std::string const& categories) {
  std::size_t const length = std::string_view(guarded_category).size();
  for (auto at = categories.find(guarded_category); at != std::string::npos;
       at = categories.find(guarded_category, at + 1))
    if (at + length == categories.size() || !std::isdigit(static_cast<unsigned char>(categories[at + length])))
      return true;
  return false;
}

void check_included(std::vector<std::string> const& categories, bool include_text) {
  for (auto const& category : categories)
    if (category != guarded_category)
      throw UsageError("--include-category: '" + category + "' is not a category that is left out",
                       std::string("only ") + guarded_category + " is");
  if (!categories.empty() && !include_text)
    throw UsageError("--include-category is given without --include-text", "give both, or neither");
}

}  // namespace refrain
