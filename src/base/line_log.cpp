#include <refrain/base/counted.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/file.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_lines.hpp>
#include <refrain/base/line_log.hpp>

#include <span>
#include <system_error>
#include <utility>

namespace refrain {

void LineLog::Extent::add(std::string_view text) {
  bytes += static_cast<int64_t>(text.size());
  digest.update(std::as_bytes(std::span(text)));
}

Json LineLog::Extent::json() const { return {{"bytes", bytes}, {"xxh3", digest.hex()}}; }

LineLog::LineLog(std::filesystem::path path, std::function<bool(Json const&)> const& keep) : path_(std::move(path)) {
  if (!std::filesystem::exists(path_)) return;
  std::string const text = read_file(path_);
  standing_.add(text);
  int64_t number = 0;
  auto const kept = visit_lines(text, [&](std::string_view line) {
    return keep(parse_json_line(line, {.file = path_, .object = "line " + std::to_string(++number)}));
  });
  wanted_.add(std::string_view(text).substr(0, kept));
}

void LineLog::announce(Json const& row) {
  line_ = dump_text(row) + "\n";
  wanted_ = standing_;
  wanted_.add(line_);
}

void LineLog::commit() {
  File file(path_, File::Mode::update);
  if (!file.is_open()) throw system_error("write the file", {}, {.file = path_});
  if (line_.empty()) {
    if (!file.set_length(wanted_.bytes) || !file.sync()) throw system_error("cut the file", {}, {.file = path_});
  } else if (!file.seek(standing_.bytes) || !file.write_all(line_) || !file.close()) {
    auto const error = system_error("write the file", "free space on the disk, then start again", {.file = path_});
    wanted_ = standing_;
    line_.clear();
    std::error_code ignored;  // the error above says what matters
    std::filesystem::resize_file(path_, static_cast<std::uintmax_t>(standing_.bytes), ignored);
    throw error;
  }
  standing_ = wanted_;
  line_.clear();
}

void LineLog::sync() const { sync_path(path_); }

Json LineLog::position() const {
  Json position = wanted_.json();
  position["before"] = standing_.json();
  return position;
}

void LineLog::check(std::filesystem::path const& path, Json const& position) {
  bool const there = std::filesystem::exists(path);
  auto const text = there ? read_file(path) : std::string{};
  auto const digest = xxh3(std::as_bytes(std::span(text)));
  auto const is = [&](Json const& described) {
    return json_get<int64_t>(described, "bytes", path) == static_cast<int64_t>(text.size()) &&
           json_get<std::string>(described, "xxh3", path) == digest;
  };
  if (is(position) || is(json_get<Json>(position, "before", path))) return;
  if (!there)
    throw Error("is missing; by status.json it has " + counted(json_get<int64_t>(position, "bytes", path), "byte"),
                "put it back from a copy, or resume the run from a checkpoint", {.file = path});
  throw Error("has " + std::to_string(text.size()) + " bytes that do not match the digest in status.json",
              "the file was changed, cut or damaged; resume the run from a checkpoint", {.file = path});
}

}  // namespace refrain
