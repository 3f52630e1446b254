#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace refrain {

/// Number types of tensors in files.
enum class DType { bf16, fp16, fp32, fp64, int32, int64, int8, uint8 };

std::size_t size_of(DType dtype) noexcept;
std::string to_string(DType dtype);                ///< "bf16"
DType dtype_from_string(std::string const& name);  ///< @throws Error for a name that is none

using Shape = std::vector<int64_t>;
int64_t element_count(Shape const& shape) noexcept;
std::string to_string(Shape const& shape);  ///< "[4096, 128]"

/// Rounds to nearest even, as PyTorch does; NaN stays NaN.
uint16_t bf16_from_float(float value) noexcept;
float float_from_bf16(uint16_t bits) noexcept;
float float_from_fp16(uint16_t bits) noexcept;
uint16_t fp16_from_float(float value) noexcept;

/// Converts between bf16, fp16 and fp32. @pre sizes agree
void convert(std::span<std::byte const> from, DType from_type, std::span<std::byte> to, DType to_type);

}  // namespace refrain
