#pragma once

#include <refrain/h5/reader.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace refrain::archive {

/// Columns that take the place of a file's own.
using Columns =
    std::map<std::string, std::variant<std::vector<int32_t>, std::vector<int64_t>, std::vector<std::string>>>;

/// Writes `from` again as `to`, with other provenance and some other columns; all else is copied piece by piece.
/// @throws Error
void rewrite(h5::Reader const& from, std::filesystem::path const& to, Json const& provenance, Columns const& columns);

/// Reads every value once, so that every checksum is checked. @throws Error
void read_through(h5::Reader const& file);

}  // namespace refrain::archive
