#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/h5/types.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace refrain::h5 {

/// What is known of a dataset without reading it.
struct DatasetInfo {
  DType dtype;
  Shape shape;
  Shape chunk;               ///< empty if it is not chunked
  bool checksummed = false;  ///< fletcher32
};

/// A file of ours, open for reading. Opening walks the whole file and refuses what another's file may hide: soft and
/// external links, external storage, virtual datasets, filters beyond deflate, shuffle and fletcher32, types that are
/// not ours, and sizes that the file cannot hold. Then it is checked against its schema, h5schemas/KIND.json.
class Reader {
public:
  /// @param schema what the file must be ("pairs.v1"); empty: whatever it says it is
  /// @throws Error naming the file, and the object where there is one
  explicit Reader(std::filesystem::path path, std::string const& schema = {});

  std::filesystem::path const& path() const noexcept { return path_; }
  std::string const& schema() const noexcept { return schema_; }  ///< "pairs.v1"
  /// The root attribute `provenance`.
  Json const& provenance() const noexcept { return provenance_; }

  /// All datasets by path ("/pair/row_id"), text columns as their two parts.
  std::map<std::string, DatasetInfo> const& datasets() const noexcept { return datasets_; }
  /// Attribute `kind` of every group that has one, by the group's path ("/judges/polyguard").
  std::map<std::string, std::string> const& kinds() const noexcept { return kinds_; }
  bool contains(std::string const& name) const { return datasets_.contains(name); }
  /// Whether there is a text column of this name.
  bool contains_text(std::string const& name) const { return contains(name + "/offsets") && contains(name + "/bytes"); }
  /// @throws Error if there is no such dataset
  DatasetInfo const& info(std::string const& name) const;

  /// A whole dataset of type T, in row-major order. @throws Error for another type or a failed checksum
  template <class T>
  std::vector<T> read(std::string const& name) const {
    std::vector<T> values(static_cast<std::size_t>(elements(name, dtype_for<T>())));
    read_all(name, std::as_writable_bytes(std::span(values)));
    return values;
  }
  /// A text column: N strings. @throws Error, also where its parts do not fit each other
  std::vector<std::string> read_text(std::string const& name) const;
  /// A box, `count[i]` elements from `start[i]` on along axis i, in row-major order and the dataset's own type.
  /// @pre `out` has the box's size. @throws Error if it lies outside or cannot be read
  void read_box(std::string const& name, Shape const& start, Shape const& count, std::span<std::byte> out) const;

private:
  int64_t elements(std::string const& name, DType expected) const;
  void read_all(std::string const& name, std::span<std::byte> out) const;
  void walk(hid_t group, std::string const& prefix, int depth);
  void inspect_dataset(hid_t dataset, std::string const& name);
  /// Whether the object, whose place is `of`, has the attribute.
  bool has_attribute(hid_t object, std::string const& of, std::string const& name) const;
  std::string text_attribute(hid_t object, std::string const& of, std::string const& name) const;

  std::filesystem::path path_;
  std::string schema_;
  Json provenance_;
  Handle file_;
  int64_t file_size_ = 0;
  std::map<std::string, DatasetInfo> datasets_;
  std::map<std::string, std::string> kinds_;
};

}  // namespace refrain::h5
