#include <refrain/base/file.hpp>
#include <refrain/study/run_metrics.hpp>

#include <algorithm>
#include <limits>
#include <span>
#include <string>

namespace refrain::study {

namespace {

/// The objects among the whole lines of the last `bytes` of a file.
std::vector<Json> objects_at_the_end(std::filesystem::path const& path, int64_t bytes) {
  File file(path, File::Mode::read);
  std::error_code gone;
  auto const size = static_cast<int64_t>(std::filesystem::file_size(path, gone));
  if (!file.is_open() || gone) return {};
  std::string text(static_cast<std::size_t>(std::min(size, bytes)), '\0');
  int64_t const begin = size - static_cast<int64_t>(text.size());
  auto const read = file.read_some_at(begin, std::as_writable_bytes(std::span(text)));
  text.resize(static_cast<std::size_t>(std::max<int64_t>(read, 0)));

  std::vector<Json> objects;
  // What stands before the first line break may be the end of a line, what stands behind the last one its beginning.
  std::size_t at = begin > 0 ? std::min(text.find('\n'), text.size() - 1) + 1 : 0;
  for (std::size_t end = text.find('\n', at); end != std::string::npos; at = end + 1, end = text.find('\n', at)) {
    auto row = Json::parse(text.begin() + static_cast<std::ptrdiff_t>(at),
                           text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (row.is_object()) objects.push_back(std::move(row));
  }
  return objects;
}

}  // namespace

std::vector<Json> last_metrics(std::filesystem::path const& file, int64_t bytes) {
  auto rows = objects_at_the_end(file, bytes);
  std::erase_if(rows, [](Json const& row) { return !row.contains("loss"); });
  return rows;
}

std::vector<Json> read_json_lines(std::filesystem::path const& file) {
  return objects_at_the_end(file, std::numeric_limits<int64_t>::max());
}

}  // namespace refrain::study
