#pragma once

#include <refrain/archive/manifest.hpp>
#include <refrain/archive/source.hpp>
#include <refrain/h5/reader.hpp>

#include <filesystem>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace refrain::archive {

/// An archive, open for reading.
class ArchiveFile {
public:
  /// Checks schema and manifest, not yet the files' bytes. @throws Error
  explicit ArchiveFile(std::filesystem::path const& path);

  std::filesystem::path const& path() const noexcept { return file_.path(); }
  Manifest const& manifest() const noexcept { return manifest_; }

  /// The bytes of a file, which `read` takes out of this archive. @pre this lives as long
  Source source(StoredFile const& file) const;
  /// Gives its bytes to `take` a chunk at a time, so that each is decompressed once.
  /// @returns what they are, which need not be `file.stored` @throws Error as Source::stream
  Extent stream(StoredFile const& file,
                std::function<void(int64_t offset, std::span<std::byte const>)> const& take) const;
  /// What is wrong with it: files that are missing, are too many, or do not match their digests. Empty if it is sound.
  std::vector<std::string> problems() const;

private:
  h5::Reader file_;
  Manifest manifest_;
};

/// The place of a file's bytes in an archive.
std::string dataset_of(std::string const& path);

}  // namespace refrain::archive
