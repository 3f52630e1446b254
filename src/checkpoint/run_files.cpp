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
  text_ = read_file(path_);
  std::size_t begin = 0;
  for (int64_t line = 1; begin < text_.size(); ++line) {
    auto const end = text_.find('\n', begin);
    if (end == std::string::npos) break;
    auto const row = Json::parse(text_.begin() + static_cast<std::ptrdiff_t>(begin),
                                 text_.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (!row.is_object())
      throw Error("is not a JSON object", "remove the file's damaged end, or the run folder",
                  {.file = path_, .object = "line " + std::to_string(line)});
    if (!keep(row)) break;
    begin = end + 1;
  }
  wanted_ = text_.substr(0, begin);
}

void LineLog::announce(Json const& row) {
  wanted_ = text_ + row.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void LineLog::commit() {
  OpenFile const file(path_, O_WRONLY | O_CREAT);
  auto const set_length = [&](std::size_t bytes) { return ::ftruncate(file.fd, static_cast<off_t>(bytes)) == 0; };
  if (wanted_.size() <= text_.size()) {
    if (!set_length(wanted_.size()) || ::fsync(file.fd) != 0) throw system_error("cut the file", {}, {.file = path_});
  } else {
    auto const length = wanted_.size() - text_.size();
    auto const written = ::pwrite(file.fd, wanted_.data() + text_.size(), length, static_cast<off_t>(text_.size()));
    if (written != static_cast<ssize_t>(length)) {
      if (written >= 0) errno = ENOSPC;
      auto const error = system_error("write the file", "free space on the disk, then start again", {.file = path_});
      wanted_ = text_;
      if (!set_length(text_.size())) errno = 0;  // the error above says what matters
      throw error;
    }
  }
  text_ = wanted_;
}

void LineLog::sync() const { sync_path(path_); }

Json LineLog::position() const {
  auto const describe = [](std::string const& text) { return Json{{"bytes", text.size()}, {"xxh3", digest_of(text)}}; };
  Json position = describe(wanted_);
  position["before"] = describe(text_);
  return position;
}

void LineLog::check(std::filesystem::path const& path, Json const& position) {
  auto const text = std::filesystem::exists(path) ? read_file(path) : std::string{};
  auto const is = [&](Json const& described) {
    return json_get<std::size_t>(described, "bytes", path) == text.size() &&
           json_get<std::string>(described, "xxh3", path) == digest_of(text);
  };
  if (!is(position) && !is(json_get<Json>(position, "before", path)))
    throw Error("has " + std::to_string(text.size()) + " bytes that do not match the digest in status.json",
                "the file was changed, cut or damaged; resume the run from a checkpoint", {.file = path});
}

}  // namespace refrain::checkpoint
