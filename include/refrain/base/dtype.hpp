#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace refrain {

/// Number types of tensors in files.
enum class DType { bf16, fp16, fp32, fp64, int32, int64, int8, uint8 };

std::size_t size_of(DType dtype) noexcept;         ///< bytes of an element
std::string to_string(DType dtype);                ///< "bf16"
DType dtype_from_string(std::string const& name);  ///< @throws Error for a name that is none

/// The extents of an array's axes, outermost first; empty for a scalar.
using Shape = std::vector<int64_t>;
int64_t element_count(Shape const& shape) noexcept;  ///< 1 for a scalar
std::string to_string(Shape const& shape);           ///< "[4096, 128]"

/// Rounds to nearest even, as PyTorch does; NaN stays NaN.
uint16_t bf16_from_float(float value) noexcept;
/// The same for IEEE's half precision; what rounds to more than 65504 becomes infinite.
uint16_t fp16_from_float(float value) noexcept;
float float_from_bf16(uint16_t bits) noexcept;  ///< exact
float float_from_fp16(uint16_t bits) noexcept;  ///< exact

/// Converts between bf16, fp16 and fp32, or copies where the types are equal. The bytes need not be aligned.
/// @pre both hold the same number of elements. @throws Error for other types
void convert_values(std::span<std::byte const> from, DType from_type, std::span<std::byte> to, DType to_type);

}  // namespace refrain
