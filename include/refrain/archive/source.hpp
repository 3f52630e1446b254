#pragma once

#include <refrain/archive/manifest.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

namespace refrain::archive {

/// Bytes that are taken piece by piece, from their beginning to their end.
struct Source {
  int64_t bytes = 0;
  /// Fills `out` from byte `offset` on. @throws Error
  std::function<void(int64_t offset, std::span<std::byte> out)> read;

  /// A text that is in memory.
  static Source of_text(std::string text);
  /// A file as it is now. @throws Error, also while it is read if it has become another size
  static Source of_file(std::filesystem::path const& path);

  /// Gives all bytes to `take`, in pieces of `piece` and a last one. @returns their number and digest
  /// @throws Error as `read`, `take`, and Stopped if a signal asked for a stop
  Extent stream(int64_t piece, std::function<void(int64_t offset, std::span<std::byte const>)> const& take) const;
  /// Reads all of it. @throws Error as `stream`
  Extent extent() const;
};

/// Bytes of a piece where nothing else decides it.
inline constexpr int64_t usual_piece = int64_t{4} << 20;

/// A signal asked for a stop: exit code 85.
class Stopped : public Error {
public:
  Stopped() : Error("stopped by a signal; nothing was changed", "start it again") {}
  Exit exit_code() const noexcept override { return Exit::stopped_early; }
};

}  // namespace refrain::archive
