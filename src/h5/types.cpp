#include <refrain/h5/types.hpp>

#include <array>

namespace refrain::h5 {

namespace {

constexpr char number_type[] = "cannot make a number type";

/// A 16-bit float whose exponent begins at bit `mantissa`.
Handle half_type(int mantissa, int exponent, int bias) {
  auto type = own(H5Tcopy(H5T_IEEE_F32LE), H5Tclose, number_type, {}, memory_remedy);
  // Fields first: the size can only shrink to what the fields leave free.
  check(H5Tset_fields(type.get(), 15, mantissa, exponent, 0, mantissa), number_type, {}, memory_remedy);
  check(H5Tset_size(type.get(), 2), number_type, {}, memory_remedy);
  check(H5Tset_ebias(type.get(), bias), number_type, {}, memory_remedy);
  return type;
}

}  // namespace

Handle file_type(DType dtype) {
  initialise();
  switch (dtype) {
    case DType::bf16: return half_type(7, 8, 127);
    case DType::fp16: return half_type(10, 5, 15);
    case DType::fp32: return own(H5Tcopy(H5T_IEEE_F32LE), H5Tclose, number_type, {}, memory_remedy);
    case DType::fp64: return own(H5Tcopy(H5T_IEEE_F64LE), H5Tclose, number_type, {}, memory_remedy);
    case DType::int32: return own(H5Tcopy(H5T_STD_I32LE), H5Tclose, number_type, {}, memory_remedy);
    case DType::int64: return own(H5Tcopy(H5T_STD_I64LE), H5Tclose, number_type, {}, memory_remedy);
    case DType::int8: return own(H5Tcopy(H5T_STD_I8LE), H5Tclose, number_type, {}, memory_remedy);
    case DType::uint8: return own(H5Tcopy(H5T_STD_U8LE), H5Tclose, number_type, {}, memory_remedy);
  }
  throw Error("a number type that HDF5 files of ours do not have");
}

std::optional<DType> dtype_of(hid_t type, Place const& place) {
  for (auto dtype : std::array{DType::bf16, DType::fp16, DType::fp32, DType::fp64, DType::int32, DType::int64,
                               DType::int8, DType::uint8}) {
    auto const equal = H5Tequal(type, file_type(dtype).get());
    check(equal, "cannot read the number type", place);
    if (equal > 0) return dtype;
  }
  return std::nullopt;
}

}  // namespace refrain::h5
