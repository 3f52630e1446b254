#pragma once

#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <filesystem>
#include <vector>

namespace refrain::study {

/// The rows of training steps at the end of metrics.jsonl, as many as stand in its last `bytes`; all of them where that
/// is more than the file has. A line that is being written, or was cut off, is left out. Nothing where there is no
/// file.
std::vector<Json> last_metrics(std::filesystem::path const& file, int64_t bytes);

/// The lines of a file of JSON lines that can be read. Nothing where there is no file.
std::vector<Json> read_json_lines(std::filesystem::path const& file);

}  // namespace refrain::study
