#include <refrain/base/random.hpp>

#include <xxhash.h>

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace refrain {
namespace {

/// SplitMix64's finaliser (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
constexpr uint64_t mix(uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

CounterRandom::CounterRandom(uint64_t seed, std::string_view stream)
    : key_(XXH3_64bits_withSeed(stream.data(), stream.size(), seed)) {}

uint64_t CounterRandom::bits(uint64_t counter) const noexcept {
  return mix(key_ + mix(counter + 1) * 0x9e3779b97f4a7c15ULL);
}

double CounterRandom::uniform(uint64_t counter) const noexcept {
  return static_cast<double>(bits(counter) >> 11) * 0x1p-53;
}

double CounterRandom::normal(uint64_t counter) const noexcept {
  // (0, 1], so that the logarithm is finite.
  double const u = 1.0 - uniform(2 * counter);
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * uniform(2 * counter + 1));
}

std::vector<int64_t> permutation(int64_t n, CounterRandom const& random) {
  std::vector<int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (int64_t i = n - 1; i > 0; --i) {
    // Multiply-shift to [0, i]: the bias is below n / 2^64.
    auto const wide =
        static_cast<unsigned __int128>(random.bits(static_cast<uint64_t>(i))) * static_cast<uint64_t>(i + 1);
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(wide >> 64)]);
  }
  return order;
}

}  // namespace refrain
