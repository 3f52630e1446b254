#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/endpoint/batch.hpp>

#include <cstdio>

namespace refrain::endpoint {
namespace {

namespace fs = std::filesystem;

/// Requests `begin` to `end` (excluded) stand in one file.
struct Part {
  std::size_t begin, end;
};

std::vector<Part> divide(std::span<Request const> requests, Target const& target, BatchLimits const& limits) {
  std::vector<Part> parts;
  int64_t bytes = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    int64_t const line = std::ssize(batch_line(requests[i], target)) + 1;
    if (line > limits.bytes)
      throw Error("request " + requests[i].custom_id + " takes " + std::to_string(line) + " bytes, a file holds " +
                      std::to_string(limits.bytes),
                  "leave it out, or shorten it");
    bool const full =
        parts.empty() || bytes + line > limits.bytes || static_cast<int64_t>(i - parts.back().begin) >= limits.requests;
    if (full) {
      parts.push_back({i, i});
      bytes = 0;
    }
    parts.back().end = i + 1;
    bytes += line;
  }
  return parts;
}

fs::path part_path(fs::path const& path, std::size_t number, std::size_t count) {
  if (count == 1) return path;
  char of[48];
  std::snprintf(of, sizeof of, "-%05zu-of-%05zu", number, count);
  return path.parent_path() / (path.stem().string() + of + path.extension().string());
}

/// Removes files at the end of the scope, unless they are kept.
struct Unfinished {
  std::vector<fs::path> paths;
  ~Unfinished() {
    std::error_code ignored;
    for (fs::path const& path : paths) fs::remove(path, ignored);
  }
};

}  // namespace

std::vector<fs::path> write_batch(fs::path const& path, std::span<Request const> requests, Target const& target,
                                  BatchLimits const& limits) {
  if (requests.empty()) throw Error("there are no requests to write", "check the input", {.file = path});
  RequestIndex const every_id_once(requests);
  auto const parts = divide(requests, target, limits);
  Unfinished written;
  std::string text;
  for (std::size_t number = 1; Part const& part : parts) {
    text.clear();
    for (Request const& request : requests.subspan(part.begin, part.end - part.begin)) {
      text += batch_line(request, target);
      text += '\n';
    }
    fs::path const file = part_path(path, number++, parts.size());
    write_file_atomically(file, text);
    written.paths.push_back(file);
  }
  if (parts.size() > 1)
    log_line("requests are in " + std::to_string(parts.size()) + " files, " + written.paths.front().string() +
             " and those that follow it: a batch takes " + std::to_string(limits.requests) + " requests and " +
             std::to_string(limits.bytes) + " bytes at most");
  return std::exchange(written.paths, {});
}

}  // namespace refrain::endpoint
