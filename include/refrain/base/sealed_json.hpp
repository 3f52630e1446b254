#pragma once

#include <refrain/base/json_file.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace refrain {

/// A JSON file that carries the SHA-256 of its own bytes: its last key, `sha256`, is taken over all bytes before that
/// key. run.json, status.json, eval.json and manifest.json are such files.
///
/// Indented by 2, written atomically. @pre `value` is an object without a key `sha256`
void write_sealed_json(std::filesystem::path const& path, Json value);
/// The bytes that `write_sealed_json` writes.
std::string sealed_json(Json value);
/// Without the key `sha256`. @throws Error naming the file if the bytes do not match it
Json read_sealed_json(std::filesystem::path const& path);
/// The same of such bytes that stand at `place`.
Json parse_sealed_json(std::string_view text, Place const& place);

}  // namespace refrain
