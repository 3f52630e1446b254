#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

namespace refrain::generate {

/// Tokens of finished answers a second since it was made, for the line of progress.
class TokenRate {
public:
  void add(int64_t tokens) noexcept { tokens_ += tokens; }
  std::string text() const {
    std::chrono::duration<double> const passed = std::chrono::steady_clock::now() - began_;
    return std::to_string(static_cast<int64_t>(static_cast<double>(tokens_) / std::max(passed.count(), 1e-9))) +
           " tokens/s";
  }

private:
  int64_t tokens_ = 0;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace refrain::generate
