#pragma once

#include <string>
#include <vector>

namespace refrain::option_text {

/// "a, b, c"
std::string joined(std::vector<std::string> const& words, std::string const& separator);

/// "did you mean --beta?" for a near miss, else `otherwise`.
std::string suggestion(std::string const& word, std::vector<std::string> const& known, std::string const& prefix,
                       std::string const& otherwise);

/// `text` broken at spaces into lines of at most `width` columns, those after the first indented by `indent`.
std::string wrapped(std::string const& text, std::size_t indent, std::size_t width);

}  // namespace refrain::option_text
