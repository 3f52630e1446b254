#pragma once

#include <refrain/h5/reader.hpp>

#include <filesystem>
#include <map>
#include <string>

namespace refrain::h5 {

/// Checks `datasets` against h5schemas/SCHEMA.json, which is data of the form
///
///     {"schema": "pairs.v1", "title": "preference pairs", "made_by": "refrain-shard --pairs",
///      "objects": {"/tokens":         {"type": "int32", "shape": ["tokens"], "about": "..."},
///                  "/pair/row_id":    {"type": "int64", "shape": ["pairs"]},
///                  "/pair/style":     {"type": "text", "shape": ["pairs"], "optional": true},
///                  "/weights/*":      {"type": ["bf16", "fp32"]},
///                  "/judges/*":       {"shape": ["rows"], "kinds": {"safety": {"label": {"type": "int8"}}}}}}
///
/// A name in `shape` stands for one length throughout the file, a number for itself; no `shape` means any. `text` is a
/// text column (NAME/bytes, NAME/offsets). `*` stands for the rest of a path. A rule with `kinds` is one for groups:
/// each must have an attribute `kind`, which says what its columns are. Objects that the schema does not list are left
/// alone, and so are kinds (an added optional object keeps the version).
/// @param kinds attribute `kind` of groups, by their path
/// @throws Error for an unknown schema, a missing object, a wrong type or shape
void check_schema(std::string const& schema, std::map<std::string, DatasetInfo> const& datasets,
                  std::map<std::string, std::string> const& kinds, std::filesystem::path const& path);

}  // namespace refrain::h5
