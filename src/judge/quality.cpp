#include <refrain/judge/quality.hpp>
#include <refrain/text/unicode.hpp>
namespace refrain::judge {
Quality quality_of(std::string const& text) { return {.empty = text::strip(text).empty()}; }
}  // namespace refrain::judge
