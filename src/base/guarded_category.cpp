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

}  // namespace refrain
