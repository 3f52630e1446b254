#pragma once

#include <cstdio>
#include <string>

namespace refrain::train {

/// printf into a string. (libtorch brings headers of an fmt of its own, which is not the one that the project links.)
template <class... Values>
std::string formatted(char const* format, Values... values) {
  std::string text(static_cast<std::size_t>(std::snprintf(nullptr, 0, format, values...)), '\0');
  std::snprintf(text.data(), text.size() + 1, format, values...);
  return text;
}

}  // namespace refrain::train
