#include <refrain/checkpoint/run_files.hpp>

#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <span>

namespace refrain::checkpoint {

namespace {

constexpr std::string_view key = "\"sha256\": \"", tail = "\"\n}\n";
constexpr std::size_t digits = 64;

std::string digest_of(std::string_view text) { return xxh3(std::as_bytes(std::span(text))); }

/// A descriptor that closes itself.
struct OpenFile {
  OpenFile(std::filesystem::path const& path, int flags) : fd(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (fd < 0) throw system_error("write the file", {}, {.file = path});
  }
  OpenFile(OpenFile const&) = delete;
  ~OpenFile() { ::close(fd); }
  int fd;
};

}  // namespace

std::string sealed_json(Json value) {
  value.erase("sha256");
  auto text = value.dump(2, ' ', false, Json::error_handler_t::replace);
  // Opens the object again: "...\n}" becomes "...,\n  ", and "{}" becomes "{\n  ".
  text.pop_back();
  if (!value.empty()) text.back() = ',';
  text += "\n  ";
  return text + std::string(key) + sha256(text) + std::string(tail);
}

void write_sealed_json(std::filesystem::path const& path, Json value) {
  write_file_atomically(path, sealed_json(std::move(value)));
}

Json read_sealed_json(std::filesystem::path const& path) {
  auto const text = read_file(path);
  auto const remedy = "the file was changed or damaged; make it again";
  auto const seal = key.size() + digits + tail.size();
  if (text.size() < seal || text.compare(text.size() - tail.size(), tail.size(), tail) != 0 ||
      text.compare(text.size() - seal, key.size(), key) != 0) {
    parse_json(text, path);
    throw Error("the file does not end with its sha256", remedy, {.file = path, .object = "sha256"});
  }
  auto const body = std::string_view(text).substr(0, text.size() - seal);
  if (sha256(body) != text.substr(text.size() - tail.size() - digits, digits))
    throw Error("the file does not match its sha256", remedy, {.file = path, .object = "sha256"});
  auto value = parse_json(text, path);
  value.erase("sha256");
  return value;
}

LineLog::LineLog(std::filesystem::path path, std::function<bool(Json const&)> const& keep) : path_(std::move(path)) {
  if (!std::filesystem::exists(path_)) return;
  auto const text = read_file(path_);
  std::size_t begin = 0;
  for (int64_t line = 1; begin < text.size(); ++line) {
    auto const end = text.find('\n', begin);
    if (end == std::string::npos) break;
    auto const row = Json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                 text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (!row.is_object())
      throw Error("is not a JSON object", "remove the file's damaged end, or the run folder",
                  {.file = path_, .object = "line " + std::to_string(line)});
    if (!keep(row)) break;
    begin = end + 1;
    ++rows_;
  }
  text_ = text.substr(0, begin);
}

void LineLog::cut() {
  OpenFile const file(path_, O_WRONLY | O_CREAT);
  if (::ftruncate(file.fd, static_cast<off_t>(text_.size())) != 0 || ::fsync(file.fd) != 0)
    throw system_error("cut the file", {}, {.file = path_});
}

void LineLog::append(Json const& row) {
  auto const line = row.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  OpenFile const file(path_, O_WRONLY);
  auto const written = ::pwrite(file.fd, line.data(), line.size(), static_cast<off_t>(text_.size()));
  if (written != static_cast<ssize_t>(line.size())) {
    if (written >= 0) errno = ENOSPC;
    auto const error = system_error("write the file", "free space on the disk, then start again", {.file = path_});
    if (::ftruncate(file.fd, static_cast<off_t>(text_.size())) != 0) errno = 0;  // the error above says what matters
    throw error;
  }
  text_ += line;
  ++rows_;
}

void LineLog::sync() const { sync_path(path_); }

Json LineLog::position() const { return Json{{"bytes", text_.size()}, {"xxh3", digest_of(text_)}}; }

int64_t LineLog::check(std::filesystem::path const& path, Json const& position) {
  auto const bytes = json_get<int64_t>(position, "bytes", path);
  auto const text = std::filesystem::exists(path) || bytes > 0 ? read_file(path) : std::string{};
  if (bytes < 0 || bytes > static_cast<int64_t>(text.size()))
    throw Error("has " + std::to_string(text.size()) + " bytes, status.json says " + std::to_string(bytes),
                "the file was cut; resume the run from a checkpoint", {.file = path});
  auto const written = std::string_view(text).substr(0, static_cast<std::size_t>(bytes));
  if (digest_of(written) != json_get<std::string>(position, "xxh3", path))
    throw Error("does not match the digest in status.json",
                "the file was changed or damaged; resume the run from a checkpoint", {.file = path});
  return static_cast<int64_t>(text.size()) - bytes;
}

}  // namespace refrain::checkpoint
