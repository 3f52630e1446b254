#pragma once

#include <ranges>
#include <string>
#include <string_view>
#include <utility>

namespace refrain {

/// The texts one behind the other, `between` every two. Takes views too: `joined(map | std::views::keys)`.
template <std::ranges::input_range Texts>
std::string joined(Texts&& texts, std::string_view between = ", ") {
  std::string all;
  bool is_first = true;
  for (auto&& text : texts) {
    if (!std::exchange(is_first, false)) all += between;
    all += text;
  }
  return all;
}

}  // namespace refrain
