#pragma once

#include <concepts>
#include <string>

namespace refrain {

/// "1 batch", "3 batches".
std::string counted(std::integral auto count, std::string const& one, std::string const& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

/// "1 run", "3 runs".
std::string counted(std::integral auto count, std::string const& one) { return counted(count, one, one + "s"); }

}  // namespace refrain
