#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace refrain::judge {

/// The names within braces in a text, small letters and _ only: other braces are text.
std::vector<std::string> placeholders_of(std::string_view text);
/// `text` with values for them, in one pass: braces in a value stay what they are. @pre `values` has all of them
std::string with_values(std::string_view text, std::map<std::string, std::string_view> const& values);

/// Unicode's case folding. @pre UTF-8
std::string lower_case(std::string_view text);

}  // namespace refrain::judge
