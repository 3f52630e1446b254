#pragma once

#include <refrain/h5/writer.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace refrain::h5 {

/// A file whose one-dimensional columns grow piece by piece, so that its rows need not be in memory together. Each
/// column is held back until it fills a chunk (4 MiB): a small file is byte for byte the one that Writer::write makes.
class RowWriter {
public:
  /// @throws Error as Writer's
  RowWriter(std::filesystem::path path, std::string const& schema, Json const& provenance)
      : file_(std::move(path), schema, provenance) {}

  /// Adds `values` to the end of the column `name`; no values make the column. @throws Error
  template <class T>
  void append(std::string const& name, std::vector<T> const& values) {
    append_bytes(name, dtype_for<T>(), std::as_bytes(std::span(values)));
  }
  /// The same for a text column. @throws Error
  void append_text(std::string const& name, std::vector<std::string> const& values);

  /// Writes what is held back and returns the file, for attributes of its groups. Nothing may be appended afterwards.
  /// @throws Error
  Writer& complete();
  /// `complete`, then as Writer::finish. @throws Error; nothing is left then
  void finish();

private:
  struct Column {
    DType dtype;
    std::vector<std::byte> pending;
    int64_t written = 0;  ///< elements in the file
    bool created = false;
  };

  void append_bytes(std::string const& name, DType dtype, std::span<std::byte const> values);
  void write_pending(std::string const& name, Column& column, std::size_t bytes);

  Writer file_;
  std::map<std::string, Column> columns_;
  std::map<std::string, int64_t> text_ends_;  ///< bytes so far of each text column
};

}  // namespace refrain::h5
