#pragma once

#include <concepts>
#include <string>

namespace refrain {

/// "1 run", "3 runs".
std::string counted(std::integral auto count, std::string const& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace refrain
