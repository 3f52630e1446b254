#include <refrain/base/file.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace refrain {
namespace {

/// The kernel reads and writes less than 2 GiB a call.
constexpr std::size_t most_at_once = std::size_t{1} << 30;

int flags_of(File::Mode mode) {
  switch (mode) {
    case File::Mode::read: return O_RDONLY;
    case File::Mode::replace: return O_WRONLY | O_CREAT | O_TRUNC;
    case File::Mode::update: return O_WRONLY | O_CREAT;
    case File::Mode::create_new: return O_WRONLY | O_CREAT | O_EXCL;
  }
  return O_RDONLY;
}

/// What `call` returns once no signal interrupts it.
template <class Call>
auto uninterrupted(Call const& call) noexcept {
  for (;;)
    if (auto const result = call(); result >= 0 || errno != EINTR) return result;
}

}  // namespace

File::File(std::filesystem::path const& path, Mode mode) noexcept
    : fd_(uninterrupted([&] { return ::open(path.c_str(), flags_of(mode) | O_CLOEXEC, 0666); })) {}

File::File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

int64_t File::read_some(std::span<std::byte> out) noexcept {
  return uninterrupted([&] { return ::read(fd_, out.data(), std::min(out.size(), most_at_once)); });
}

int64_t File::read_some_at(int64_t offset, std::span<std::byte> out) const noexcept {
  return uninterrupted([&] { return ::pread(fd_, out.data(), std::min(out.size(), most_at_once), offset); });
}

bool File::write_all(std::span<std::byte const> bytes) noexcept {
  while (!bytes.empty()) {
    auto const done = uninterrupted([&] { return ::write(fd_, bytes.data(), std::min(bytes.size(), most_at_once)); });
    if (done == 0) errno = ENOSPC;  // no system says so, but then this must end
    if (done <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
  return true;
}

bool File::write_all(std::string_view text) noexcept { return write_all(std::as_bytes(std::span(text))); }

bool File::seek(int64_t offset) noexcept { return ::lseek(fd_, offset, SEEK_SET) == offset; }

bool File::set_length(int64_t bytes) noexcept {
  return uninterrupted([&] { return ::ftruncate(fd_, bytes); }) == 0;
}

bool File::sync() noexcept {
  return uninterrupted([&] { return ::fsync(fd_); }) == 0;
}

bool File::close() noexcept {
  // Not again after EINTR: the descriptor is gone by then, and may be another file's.
  return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0 || errno == EINTR;
}

}  // namespace refrain
