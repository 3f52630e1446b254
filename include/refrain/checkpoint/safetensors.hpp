#pragma once

#include <refrain/base/file.hpp>
#include <refrain/checkpoint/tensor_source.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace refrain::checkpoint {

/// One safetensors file, open for reading: 8 bytes little-endian header length, a JSON header, then the tensors' bytes
/// (huggingface/safetensors, README "Format"). The header is checked before anything is allocated by what it says.
class SafetensorsFile {
public:
  /// One tensor and where it stands.
  struct Entry {
    TensorInfo info;
    int64_t begin;  ///< of its first byte in the file
  };

  /// @throws Error naming the file, and the tensor where there is one
  explicit SafetensorsFile(std::filesystem::path path);

  std::filesystem::path const& path() const noexcept { return path_; }
  /// In the order of the bytes.
  std::vector<Entry> const& entries() const noexcept { return entries_; }
  /// Reads `out.size()` bytes from byte `offset` of the file on. @throws Error naming the file and `object`
  void read_at(int64_t offset, std::span<std::byte> out, std::string const& object) const;

private:
  void parse_header(std::string const& header, int64_t data_begin, int64_t file_size);

  std::filesystem::path path_;
  File file_;
  std::vector<Entry> entries_;
};

/// A Hugging Face folder: model.safetensors, or the files that model.safetensors.index.json names.
class HuggingFaceSource : public TensorSource {
public:
  /// @throws Error if the index and the files do not agree
  explicit HuggingFaceSource(std::filesystem::path folder);
  /// One file of a folder, all of whose names begin with `prefix`, which is left out. @throws Error if one does not
  HuggingFaceSource(std::filesystem::path folder, std::string const& file, std::string const& prefix);

  std::vector<TensorInfo> const& tensors() const override { return tensors_; }
  void read(std::string const& name, Slice const& slice, std::span<std::byte> out) const override;
  /// The safetensors files that hold the tensors.
  std::vector<std::filesystem::path> files() const;

private:
  void open_indexed(std::filesystem::path const& index);
  void add(std::unique_ptr<SafetensorsFile> file, std::string const& prefix = {});

  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::pair<std::size_t, int64_t>> places_;  ///< file and first byte, by name
};

/// Writes one safetensors file, tensor after tensor, through a temporary name.
class SafetensorsWriter {
public:
  /// @throws Error if the file cannot be created
  SafetensorsWriter(std::filesystem::path path, std::vector<TensorInfo> const& tensors);
  ~SafetensorsWriter();
  SafetensorsWriter(SafetensorsWriter const&) = delete;

  /// The next bytes of the data, which follow each other in the order of `tensors`. @throws Error on a full disk and
  /// the like
  void write(std::span<std::byte const> bytes);
  /// Syncs and gives the file its name. @throws Error
  void finish();

private:
  void discard() noexcept;

  std::filesystem::path path_;
  std::filesystem::path temporary_;  ///< empty once it has its name, or is gone
  File file_;
};

/// "BF16" and so on. @throws Error for a type that safetensors files of models do not have
std::string safetensors_name(DType dtype);

}  // namespace refrain::checkpoint
