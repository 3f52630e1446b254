#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace refrain {

/// An open file, closed on every way out. What fails returns false (or -1) and leaves errno: what that means, and what
/// to do about it, the caller knows. Calls that a signal interrupted are made again.
class File {
public:
  /// How a file is opened. All but `read` make it where it is missing, as far as umask allows for everyone.
  enum class Mode {
    read,
    replace,     ///< empties what is there
    update,      ///< keeps what is there
    create_new,  ///< fails with EEXIST if it is there
  };

  File(std::filesystem::path const& path, Mode mode) noexcept;
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File() { close(); }

  bool is_open() const noexcept { return fd_ >= 0; }
  int descriptor() const noexcept { return fd_; }

  /// Up to `out.size()` bytes from where the file stands. @returns their number, 0 at the end
  int64_t read_some(std::span<std::byte> out) noexcept;
  /// The same from byte `offset` on, wherever the file stands.
  int64_t read_some_at(int64_t offset, std::span<std::byte> out) const noexcept;
  /// All of `bytes`, from where the file stands. After a failure part of them may be written.
  bool write_all(std::span<std::byte const> bytes) noexcept;
  bool write_all(std::string_view text) noexcept;
  /// The next read or write begins at byte `offset`.
  bool seek(int64_t offset) noexcept;
  /// Cuts the file, or fills it up with zeros.
  bool set_length(int64_t bytes) noexcept;
  bool sync() noexcept;  ///< fsync
  /// Network file systems may report a full disk only here. True if it is closed already.
  bool close() noexcept;

private:
  int fd_;
};

}  // namespace refrain
