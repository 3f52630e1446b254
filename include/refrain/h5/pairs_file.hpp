#pragma once

#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::h5 {

/// pairs.v1 in memory: token ids and, per pair, where its three parts stand in `tokens`, and what it is called. Parts
/// of several pairs may be the same tokens. Every column but `tokens` has an element a pair.
struct Pairs {
  std::vector<int32_t> tokens;
  std::vector<int64_t> prompt_begin, chosen_begin, rejected_begin, row_id;  ///< begins: places in `tokens`
  std::vector<int32_t> prompt_length, chosen_length, rejected_length;       ///< in tokens, at least 1
  std::vector<std::string> id, language, category, style;

  int64_t size() const noexcept { return static_cast<int64_t>(row_id.size()); }
};

/// Checks the schema, that every part lies within `tokens` and that no id is negative. @throws Error
Pairs read_pairs(std::filesystem::path const& path);
/// The provenance that any of our HDF5 files carries. @throws Error if it is none
Json read_provenance(std::filesystem::path const& path);
/// Atomically (temporary name, sync, rename). @throws Error
void write_pairs(std::filesystem::path const& path, Pairs const& pairs, Json const& provenance);

}  // namespace refrain::h5
