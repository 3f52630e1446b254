#include <refrain/base/json_lines.hpp>
#include <refrain/study/run_metrics.hpp>

namespace refrain::study {

std::vector<Json> last_metrics(std::filesystem::path const& file, int64_t bytes) {
  auto rows = readable_json_lines(file, bytes);
  std::erase_if(rows, [](Json const& row) { return !row.contains("loss"); });
  return rows;
}

}  // namespace refrain::study
