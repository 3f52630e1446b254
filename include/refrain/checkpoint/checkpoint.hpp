#pragma once

#include <refrain/checkpoint/manifest.hpp>
#include <refrain/checkpoint/tensor_source.hpp>

#include <map>
#include <memory>
#include <set>

namespace refrain::h5 {
class Reader;
}

namespace refrain::checkpoint {

/// A checkpoint folder, open for reading. Of a resumable one the weights are the master values rounded to `dtype` of
/// its config.json.
class Checkpoint : public TensorSource {
public:
  /// Checks the manifest, the sizes of all files and the digests of the small ones; those of slices are checked when
  /// they are read. @throws Error naming the file
  explicit Checkpoint(std::filesystem::path folder);
  ~Checkpoint() override;

  Manifest const& manifest() const noexcept { return manifest_; }
  std::vector<TensorInfo> const& tensors() const override { return tensors_; }
  void read(std::string const& name, Slice const& slice, std::span<std::byte> out) const override;
  /// The same for any object ("/optimizer/exp_avg/NAME"), in its stored type. The digest of every slice that is touched
  /// is checked over all of it (once; later reads of it rely on HDF5's checksums).
  void read_object(std::string const& object, Slice const& slice, std::span<std::byte> out) const;
  /// Opens every file and compares its datasets with the manifest, without reading values. @throws Error
  void check_structure() const;
  /// Reads one file's slices and checks their digests. @throws Error for the first that does not match
  void verify_file(std::string const& name) const;
  /// Reads everything and checks every digest. @throws Error for the first that does not match, naming file and object
  void verify() const;

private:
  void verify_small_files() const;
  void check_stored(StoredTensor const& tensor, StoredSlice const& stored) const;
  void read_stored(StoredTensor const& tensor, StoredSlice const& stored, Slice const& slice,
                   std::span<std::byte> out) const;
  h5::Reader& reader(std::string const& file) const;

  Manifest manifest_;
  std::vector<TensorInfo> tensors_;
  mutable std::map<std::string, std::unique_ptr<h5::Reader>> readers_;
  mutable std::set<StoredSlice const*> verified_;
};

}  // namespace refrain::checkpoint
