#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace refrain {

/// Counter-based random numbers: a value depends on the key and the counter alone, so that it is the same at any
/// number of ranks and in any order. (SplitMix64's finaliser over key and counter.)
class CounterRandom {
public:
  CounterRandom(uint64_t seed, std::string_view stream);  ///< e.g. stream = "shuffle/3", a tensor's name
  uint64_t bits(uint64_t counter) const noexcept;         ///< 64 random bits
  double uniform(uint64_t counter) const noexcept;        ///< [0, 1)
  double normal(uint64_t counter) const noexcept;         ///< mean 0, deviation 1 (Box-Muller)

private:
  uint64_t key_;
};

/// A permutation of 0..n-1 (Fisher-Yates over CounterRandom).
std::vector<int64_t> permutation(int64_t n, CounterRandom const& random);

}  // namespace refrain
