#include <refrain/base/dtype.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>

#include <bit>
#include <cmath>
#include <cstring>

namespace refrain {

std::size_t size_of(DType dtype) noexcept {
  switch (dtype) {
    case DType::bf16:
    case DType::fp16: return 2;
    case DType::fp32:
    case DType::int32: return 4;
    case DType::fp64:
    case DType::int64: return 8;
    case DType::int8:
    case DType::uint8: return 1;
  }
  return 0;
}

std::string to_string(DType dtype) {
  switch (dtype) {
    case DType::bf16: return "bf16";
    case DType::fp16: return "fp16";
    case DType::fp32: return "fp32";
    case DType::fp64: return "fp64";
    case DType::int32: return "int32";
    case DType::int64: return "int64";
    case DType::int8: return "int8";
    case DType::uint8: return "uint8";
  }
  return "?";
}

DType dtype_from_string(std::string const& name) {
  using enum DType;
  for (DType const dtype : {bf16, fp16, fp32, fp64, int32, int64, int8, uint8})
    if (to_string(dtype) == name) return dtype;
  throw Error("'" + name + "' is not a number type", "known are bf16, fp16, fp32, fp64, int32, int64, int8, uint8");
}

int64_t element_count(Shape const& shape) noexcept {
  int64_t count = 1;
  for (int64_t const extent : shape) count *= extent;
  return count;
}

std::string to_string(Shape const& shape) {
  auto const shown = [](int64_t extent) { return std::to_string(extent); };
  return std::string("[").append(joined(shape | std::views::transform(shown))).append("]");
}

uint16_t bf16_from_float(float value) noexcept {
  auto const bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);  // NaN, kept quiet
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float float_from_bf16(uint16_t bits) noexcept { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

float float_from_fp16(uint16_t bits) noexcept {
  uint32_t const sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  uint32_t const exponent = (bits >> 10) & 31u, mantissa = bits & 1023u;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent > 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  float const magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // subnormal
  return sign ? -magnitude : magnitude;
}

uint16_t fp16_from_float(float value) noexcept {
  auto const bits = std::bit_cast<uint32_t>(value);
  auto const sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  uint32_t const magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));  // NaN
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // rounds to more than 65504
  if (magnitude < 0x38800000u) {
    // Below 2^-14 the spacing is 2^-24 everywhere: the sum with 0.5 lets the float unit round to it.
    float const rounded = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(rounded) - 0x3f000000u));
  }
  uint32_t const rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

namespace {

template <class To, class From, class F>
void map(std::span<std::byte const> from, std::span<std::byte> to, F convert_one) {
  std::size_t const count = from.size() / sizeof(From);
  for (std::size_t i = 0; i < count; ++i) {
    // memcpy, since bytes in files need not be aligned; it compiles to plain loads.
    From value;
    std::memcpy(&value, from.data() + i * sizeof(From), sizeof(From));
    To const result = convert_one(value);
    std::memcpy(to.data() + i * sizeof(To), &result, sizeof(To));
  }
}

}  // namespace

void convert_values(std::span<std::byte const> from, DType from_type, std::span<std::byte> to, DType to_type) {
  using enum DType;
  if (from_type == to_type) {
    if (!from.empty()) std::memmove(to.data(), from.data(), from.size());
  } else if (from_type == bf16 && to_type == fp32) {
    map<float, uint16_t>(from, to, float_from_bf16);
  } else if (from_type == fp16 && to_type == fp32) {
    map<float, uint16_t>(from, to, float_from_fp16);
  } else if (from_type == fp32 && to_type == bf16) {
    map<uint16_t, float>(from, to, bf16_from_float);
  } else if (from_type == fp32 && to_type == fp16) {
    map<uint16_t, float>(from, to, fp16_from_float);
  } else if (from_type == fp16 && to_type == bf16) {
    map<uint16_t, uint16_t>(from, to, [](uint16_t bits) { return bf16_from_float(float_from_fp16(bits)); });
  } else if (from_type == bf16 && to_type == fp16) {
    map<uint16_t, uint16_t>(from, to, [](uint16_t bits) { return fp16_from_float(float_from_bf16(bits)); });
  } else {
    throw Error("no conversion from " + to_string(from_type) + " to " + to_string(to_type), "keep the type");
  }
}

}  // namespace refrain
