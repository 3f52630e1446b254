#pragma once

#include <refrain/base/error.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace refrain {

using Json = nlohmann::ordered_json;  ///< keeps the order in which keys stand in files

/// @throws Error if the file cannot be read, or naming it, line and column if it is no JSON
Json read_json(std::filesystem::path const& path);
/// The same for a text that stands in `path`.
Json parse_json(std::string_view text, std::filesystem::path const& path);
/// The Error of read_json for a reader with a SAX interface of its own: `error` as nlohmann gives it, about `text`.
Error broken_json(std::string_view text, nlohmann::detail::exception const& error, std::size_t byte,
                  std::filesystem::path const& path);

/// `value` as text, on one line or indented. File names need not be UTF-8, and nothing must fail for that: what is not
/// UTF-8 becomes U+FFFD, where nlohmann's own dump() throws.
std::string dump_text(Json const& value, int indent = -1);

/// `dump_text`, indented by 2, as a file, atomically. @throws Error
void write_json(std::filesystem::path const& path, Json const& value);

/// `object[key]` as T: string, bool, a number, Json, or a vector (json_file.cpp lists them). `path` is for messages.
/// @throws Error naming the key, what it is and what it should be
template <class T>
T json_get(Json const& object, std::string const& key, std::filesystem::path const& path);
/// The same, or `fallback` where the key is missing or null.
template <class T>
T json_get_or(Json const& object, std::string const& key, T fallback, std::filesystem::path const& path);

}  // namespace refrain
