#include <refrain/checkpoint/safetensors.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_file.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace refrain::checkpoint {

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorInfo> const& tensors)
    : path_(std::move(path)),
      temporary_(path_.string() + ".tmp"),
      fd_(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
  if (fd_ < 0) throw system_error("create the file", {}, {.file = path_});
  Json header;
  header["__metadata__"] = {{"format", "pt"}};
  int64_t begin = 0;
  for (auto const& tensor : tensors) {
    auto const end = begin + element_count(tensor.shape) * static_cast<int64_t>(size_of(tensor.dtype));
    header[tensor.name] = {
        {"dtype", safetensors_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  auto text = dump_text(header);
  // The data begins on a multiple of 8.
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string prefix(8, '\0');
  for (int i = 0; i < 8; ++i) prefix[static_cast<std::size_t>(i)] = static_cast<char>(text.size() >> (8 * i));
  text.insert(0, prefix);
  try {
    write(std::as_bytes(std::span(text)));
  } catch (...) {
    discard();
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() { discard(); }

void SafetensorsWriter::discard() noexcept {
  if (fd_ < 0) return;
  ::close(std::exchange(fd_, -1));
  ::unlink(temporary_.c_str());
}

void SafetensorsWriter::write(std::span<std::byte const> bytes) {
  while (!bytes.empty()) {
    auto const done = ::write(fd_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) throw system_error("write the file", "free space on the disk, then start again", {.file = path_});
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
}

void SafetensorsWriter::finish() {
  if (::fsync(fd_) != 0)
    throw system_error("sync the file", "free space on the disk, then start again", {.file = path_});
  int const fd = std::exchange(fd_, -1);
  if (::close(fd) != 0) {
    auto const error = system_error("close the file", "free space on the disk, then start again", {.file = path_});
    ::unlink(temporary_.c_str());
    throw error;
  }
  rename_durably(temporary_, path_);
}

}  // namespace refrain::checkpoint
