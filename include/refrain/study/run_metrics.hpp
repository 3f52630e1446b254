#pragma once

#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <filesystem>
#include <vector>

namespace refrain::study {

/// The rows of training steps at the end of metrics.jsonl, as many as stand in its last `bytes`; all of them where that
/// is more than the file has. Read as `readable_json_lines` does.
std::vector<Json> last_metrics(std::filesystem::path const& file, int64_t bytes);

}  // namespace refrain::study
