#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/h5/types.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace refrain::h5 {

/// What happens to a file's temporary name when it is finished.
enum class Commit {
  rename,   ///< written as PATH.tmp, renamed to PATH and the folder synced
  in_place  ///< written as PATH: its folder is temporary itself
};

/// A file of ours being written: bounds V110, datasets chunked with fletcher32, no fill values, attributes of fixed
/// length. Nothing stands under its name until `finish` has flushed, closed and synced it and checked it against its
/// schema; if that never comes, nothing is left.
class Writer {
public:
  /// @param schema "pairs.v1"; h5schemas/pairs.v1.json must exist
  /// @throws Error if the file cannot be created
  Writer(std::filesystem::path path, std::string const& schema, Json const& provenance, Commit commit = Commit::rename);
  Writer(Writer&&) = delete;
  ~Writer();

  /// A one-dimensional dataset, or one of `shape`. Groups on the way are made. @throws Error
  template <class T>
  void write(std::string const& name, std::vector<T> const& values, Shape shape = {}) {
    if (shape.empty()) shape = {static_cast<int64_t>(values.size())};
    create(name, dtype_for<T>(), shape);
    write_box(name, Shape(shape.size(), 0), shape, std::as_bytes(std::span(values)));
  }
  /// A text column: NAME/bytes and NAME/offsets. @throws Error
  void write_text(std::string const& name, std::vector<std::string> const& values);

  /// A dataset without values; every element must then be written by `write_box`, best in whole rows of `chunk_shape`.
  /// @param deflate level of compression, 1 to 9; 0 for none. Checksums are of what stands in the file @throws Error
  void create(std::string const& name, DType dtype, Shape const& shape, unsigned deflate = 0);
  /// A one-dimensional dataset that has no elements yet; `extend` gives it more, which must then be written. Its chunks
  /// are of `growing_chunk_bytes`. @throws Error
  void create_growing(std::string const& name, DType dtype);
  void extend(std::string const& name, int64_t length);
  /// `count[i]` elements from `start[i]` on along axis i, row-major, in the dataset's own type. @throws Error
  void write_box(std::string const& name, Shape const& start, Shape const& count, std::span<std::byte const> values);
  /// Attributes of an object ("/" is the root) of fixed length. @throws Error
  void attribute(std::string const& object, std::string const& name, std::string const& text);
  void attribute(std::string const& object, std::string const& name, std::vector<int64_t> const& values);

  /// Flushes, closes, syncs, checks the schema, renames. @throws Error; nothing is left then
  void finish();

private:
  void create_dataset(std::string const& name, DType dtype, Handle const& space, Shape const& chunk,
                      unsigned deflate);
  void open_for_writing(std::string const& name);
  void make_groups(std::string const& name);
  Handle open_object(std::string const& object) const;
  Place place(std::string const& object = {}) const;
  void discard() noexcept;

  std::filesystem::path path_, temporary_;
  std::string schema_;
  Commit commit_;
  Handle file_;
  std::set<std::string> groups_;
  std::string open_name_;  ///< the dataset that `open_dataset_` is, kept open between boxes
  Handle open_dataset_;
};

/// Bytes of a chunk of a dataset that grows.
inline constexpr std::size_t growing_chunk_bytes = std::size_t{4} << 20;

/// Dimensions of the chunks of a dataset: about 4 MiB, whole trailing axes, equal parts. `element_size` in bytes.
Shape chunk_shape(Shape const& shape, std::size_t element_size);

}  // namespace refrain::h5
