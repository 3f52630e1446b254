#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace refrain {

/// SHA-256 as 64 hexadecimal digits.
std::string sha256(std::string_view bytes);
/// The same of a file's bytes. @throws Error if it cannot be read
std::string sha256_file(std::filesystem::path const& path);

/// The same over a stream of bytes.
class Sha256 {
public:
  Sha256();  ///< @throws Error where OpenSSL cannot
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  /// Adds what follows the bytes so far.
  void update(std::span<std::byte const> bytes);
  /// The digest of all bytes. Nothing may be added afterwards.
  std::string hex();

private:
  struct State;
  std::unique_ptr<State> state_;
};

/// XXH3-128 over a stream of bytes, as 32 hexadecimal digits (XXH128's canonical form). A copy goes on by itself.
class Xxh3 {
public:
  Xxh3();
  ~Xxh3();
  Xxh3(Xxh3 const& other);
  Xxh3(Xxh3&&) noexcept;
  Xxh3& operator=(Xxh3 other) noexcept;
  /// Adds what follows the bytes so far.
  void update(std::span<std::byte const> bytes);
  /// The digest of all bytes so far; more may follow.
  std::string hex() const;

private:
  struct State;
  std::unique_ptr<State> state_;
};
/// The same of bytes that are there at once.
std::string xxh3(std::span<std::byte const> bytes);

}  // namespace refrain
