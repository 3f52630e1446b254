#pragma once

#include <refrain/base/json_file.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <string_view>
#include <vector>

/// Files that are appended to, a JSON object a line: metrics.jsonl, records of starts. What stands behind the last line
/// break is being written, or was cut off: it is no line yet, whoever reads.
namespace refrain {

/// Hands each line, without its line break, to `visit` for as long as that returns true.
/// @returns the bytes of the lines for which it did, with their line breaks
std::size_t visit_lines(std::string_view text, std::function<bool(std::string_view)> const& visit);

/// A line's object. @throws Error at `place` for anything else
Json parse_json_line(std::string_view line, Place const& place);

/// Every line of a text that stands in `path`. @throws Error naming file and line for one that is no JSON object
std::vector<Json> parse_json_lines(std::string_view text, std::filesystem::path const& path);
/// Every line of the file. @throws Error as above, or if it cannot be read
std::vector<Json> read_json_lines(std::filesystem::path const& path);

/// For tables that stand whatever is damaged: of the lines in the file's last `bytes` those that are JSON objects. None
/// where the file cannot be read.
std::vector<Json> readable_json_lines(std::filesystem::path const& path,
                                      int64_t bytes = std::numeric_limits<int64_t>::max());

}  // namespace refrain
