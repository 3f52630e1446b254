#pragma once

#include <refrain/base/dtype.hpp>
#include <refrain/h5/handle.hpp>

#include <optional>

namespace refrain::h5 {

/// The little-endian file type of `dtype`. bf16 is a 16-bit custom float (sign 15, exponent 7..14 biased 127, mantissa
/// 0..6), fp16 IEEE's; both are read as floats by h5py and h5dump.
Handle file_type(DType dtype);

/// The element type of the dataset at `place`, or none if it is not one of ours. @throws Error if HDF5 cannot tell
std::optional<DType> dtype_of(hid_t type, Place const& place);

/// The DType that a C++ number has in files.
template <class T>
constexpr DType dtype_for();
template <>
constexpr DType dtype_for<float>() {
  return DType::fp32;
}
template <>
constexpr DType dtype_for<double>() {
  return DType::fp64;
}
template <>
constexpr DType dtype_for<int8_t>() {
  return DType::int8;
}
template <>
constexpr DType dtype_for<uint8_t>() {
  return DType::uint8;
}
template <>
constexpr DType dtype_for<int32_t>() {
  return DType::int32;
}
template <>
constexpr DType dtype_for<int64_t>() {
  return DType::int64;
}

}  // namespace refrain::h5
