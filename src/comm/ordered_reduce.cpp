// Compiled with -O3: the loops below are what the compiler turns into vector code.
#include "ordered_reduce.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace refrain::comm {
namespace {

constexpr std::size_t block = 2048;  // elements; the accumulator stays in the first-level cache

template <class T>
T larger(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return a > b || a != a ? a : b;  // NaN wins
  else
    return std::max(a, b);
}

struct PlainLoad {
  template <class T>
  static T load(T value) {
    return value;
  }
  template <class T>
  static T store(T value) {
    return value;
  }
};
struct Bf16Load {
  static float load(uint16_t bits) { return float_from_bf16(bits); }
  static uint16_t store(float value) { return bf16_from_float(value); }
};
struct Fp16Load {
  static float load(uint16_t bits) { return float_from_fp16(bits); }
  static uint16_t store(float value) { return fp16_from_float(value); }
};

template <class Stored, class Working, class Format, ReduceOp op>
void reduce(void* out_bytes, std::span<void const* const> parts, std::size_t count) {
  auto* const out = static_cast<Stored*>(out_bytes);
  Working sums[block];
  for (std::size_t begin = 0; begin < count; begin += block) {
    std::size_t const n = std::min(block, count - begin);
    Stored const* const first = static_cast<Stored const*>(parts[0]) + begin;
    for (std::size_t i = 0; i < n; ++i) sums[i] = Format::load(first[i]);
    for (void const* const part : parts.subspan(1)) {
      Stored const* const next = static_cast<Stored const*>(part) + begin;
      for (std::size_t i = 0; i < n; ++i) {
        Working const value = Format::load(next[i]);
        sums[i] = op == ReduceOp::sum ? static_cast<Working>(sums[i] + value) : larger(sums[i], value);
      }
    }
    for (std::size_t i = 0; i < n; ++i) out[begin + i] = Format::store(sums[i]);
  }
}

template <ReduceOp op>
void reduce(void* out, std::span<void const* const> parts, std::size_t count, DType type) {
  switch (type) {
    case DType::bf16: return reduce<uint16_t, float, Bf16Load, op>(out, parts, count);
    case DType::fp16: return reduce<uint16_t, float, Fp16Load, op>(out, parts, count);
    case DType::fp32: return reduce<float, float, PlainLoad, op>(out, parts, count);
    case DType::fp64: return reduce<double, double, PlainLoad, op>(out, parts, count);
    case DType::int32: return reduce<int32_t, int32_t, PlainLoad, op>(out, parts, count);
    case DType::int64: return reduce<int64_t, int64_t, PlainLoad, op>(out, parts, count);
    case DType::int8: return reduce<int8_t, int8_t, PlainLoad, op>(out, parts, count);
    case DType::uint8: return reduce<uint8_t, uint8_t, PlainLoad, op>(out, parts, count);
  }
}

}  // namespace

void ordered_reduce(void* out, std::span<void const* const> parts, std::size_t count, DType type, ReduceOp op) {
  if (op == ReduceOp::sum)
    reduce<ReduceOp::sum>(out, parts, count, type);
  else
    reduce<ReduceOp::max>(out, parts, count, type);
}

}  // namespace refrain::comm
