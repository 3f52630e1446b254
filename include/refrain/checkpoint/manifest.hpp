#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/checkpoint/tensor_source.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace refrain::checkpoint {

/// A slice as it stands in a file.
struct StoredSlice {
  std::string file;     ///< "weights-00001-of-00002.h5"
  std::string dataset;  ///< its HDF5 path in that file
  Slice slice;
  std::string xxh3;  ///< of its values, row-major, as stored
};

/// One object of a checkpoint ("/weights/NAME", "/optimizer/exp_avg/NAME") and where its parts are.
struct StoredTensor {
  DType dtype;
  Shape shape;
  std::vector<StoredSlice> slices;
};

/// A copied file: config.json, tokenizer files and the like.
struct SmallFile {
  int64_t size;  ///< in bytes
  std::string sha256;
};

/// manifest.json of a checkpoint folder.
struct Manifest {
  static constexpr int version = 1;              ///< of the form of manifest.json
  std::vector<std::string> order;                ///< objects in the order of the model
  std::map<std::string, StoredTensor> tensors;   ///< by object
  std::map<std::string, int64_t> files;          ///< HDF5 files and their sizes in bytes
  std::map<std::string, SmallFile> small_files;  ///< by name
  Json training_state;                           ///< null where there is none
  Json provenance;

  /// As manifest.json holds it, without its digest.
  Json to_json() const;
  /// Checks its own digest, that all names are plain names, and that the slices of each tensor cover it exactly once.
  /// @throws Error naming the file and the object
  static Manifest load(std::filesystem::path const& folder);
  /// Whether it holds optimizer state.
  bool resumable() const;
};

/// @throws Error naming the object unless `slices` cover `shape` exactly once
void check_cover(std::string const& object, Shape const& shape, std::vector<Slice> const& slices,
                 std::filesystem::path const& path);

}  // namespace refrain::checkpoint
