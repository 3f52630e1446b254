#include <refrain/base/json_lines.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/file.hpp>
#include <refrain/base/files.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace refrain {
namespace {

/// Discarded if the line is no JSON.
Json parsed(std::string_view line) { return Json::parse(line, nullptr, false); }

/// The last `bytes` of a file, from the first line on that begins in them; empty if it cannot be read.
std::string end_of(std::filesystem::path const& path, int64_t bytes) {
  File file(path, File::Mode::read);
  std::error_code gone;
  auto const size = static_cast<int64_t>(std::filesystem::file_size(path, gone));
  if (!file.is_open() || gone) return {};
  std::string text(static_cast<std::size_t>(std::min(size, bytes)), '\0');
  int64_t const begin = size - static_cast<int64_t>(text.size());
  auto const read = file.read_some_at(begin, std::as_writable_bytes(std::span(text)));
  text.resize(static_cast<std::size_t>(std::max<int64_t>(read, 0)));
  if (begin == 0) return text;
  auto const line_break = text.find('\n');
  return line_break == std::string::npos ? "" : text.substr(line_break + 1);
}

}  // namespace

std::size_t visit_lines(std::string_view text, std::function<bool(std::string_view)> const& visit) {
  std::size_t begin = 0;
  for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', begin)) {
    if (!visit(text.substr(begin, end - begin))) break;
    begin = end + 1;
  }
  return begin;
}

Json parse_json_line(std::string_view line, Place const& place) {
  auto row = parsed(line);
  if (!row.is_object())
    throw Error("is not a JSON object", "put the file back from a copy, or remove its damaged end", place);
  return row;
}

std::vector<Json> parse_json_lines(std::string_view text, std::filesystem::path const& path) {
  std::vector<Json> rows;
  visit_lines(text, [&](std::string_view line) {
    rows.push_back(parse_json_line(line, {.file = path, .object = "line " + std::to_string(rows.size() + 1)}));
    return true;
  });
  return rows;
}

std::vector<Json> read_json_lines(std::filesystem::path const& path) { return parse_json_lines(read_file(path), path); }

std::vector<Json> readable_json_lines(std::filesystem::path const& path, int64_t bytes) {
  std::vector<Json> rows;
  visit_lines(end_of(path, bytes), [&](std::string_view line) {
    if (auto row = parsed(line); row.is_object()) rows.push_back(std::move(row));
    return true;
  });
  return rows;
}

}  // namespace refrain
