#pragma once

#include <bit>
#include <cstdint>

namespace refrain::model::loops {

/// An element of a cache as fp32: bf16 is the upper half of a float's bits.
inline float widened(float value) { return value; }
inline float widened(uint16_t value) { return std::bit_cast<float>(static_cast<uint32_t>(value) << 16); }

}  // namespace refrain::model::loops
