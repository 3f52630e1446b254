#pragma once

#include <refrain/checkpoint/writer.hpp>

#include <string>

namespace refrain::checkpoint {

/// Writes the slices of one kind (weights or optimizer) into one HDF5 file, digests taken from memory, and syncs it.
/// @returns [{"object", "dtype", "shape", "start", "count", "file", "dataset", "xxh3"}, ...] and the file's size, for
/// the manifest
/// @throws Error naming the tensor for NaN and Inf
Json write_slice_file(std::filesystem::path const& path, std::string const& schema,
                      std::vector<SliceToWrite> const& slices, Json const& provenance);

/// Reads the file back from disk and compares it with what `write_slice_file` returned. @throws Error
void read_back_slice_file(std::filesystem::path const& path, Json const& written);

/// @throws Error naming `object` if a bf16, fp16 or fp32 value is NaN or infinite
void refuse_non_finite(std::span<std::byte const> values, DType dtype, Place const& place);

}  // namespace refrain::checkpoint
