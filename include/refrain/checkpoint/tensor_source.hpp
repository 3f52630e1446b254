#pragma once

#include <refrain/base/dtype.hpp>
#include <refrain/base/json_file.hpp>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace refrain::checkpoint {

/// More than any model has: greater sizes are refused before anything is computed or allocated by them.
inline constexpr int64_t most_elements = int64_t{1} << 48;

/// What is known of a tensor without reading it.
struct TensorInfo {
  std::string name;  ///< Hugging Face's name: model.layers.0.self_attn.q_proj.weight
  DType dtype;
  Shape shape;
};

/// A box of a tensor: `count[i]` elements from `start[i]` on along axis i.
struct Slice {
  Shape start, count;
};

/// Tensors of a model, from a Hugging Face folder (safetensors) or a checkpoint of ours, read by global slices: any
/// layout reads what any other wrote.
class TensorSource {
public:
  virtual ~TensorSource() = default;

  /// In file order.
  virtual std::vector<TensorInfo> const& tensors() const = 0;
  /// @throws Error naming the folder if there is no such tensor
  TensorInfo const& info(std::string const& name) const;
  bool contains(std::string const& name) const;  ///< whether there is such a tensor

  /// Reads a slice in row-major order, in the tensor's own dtype. Digests and bounds of all that is read are checked.
  /// @pre `out` has the slice's size in bytes
  /// @throws Error naming file and tensor
  virtual void read(std::string const& name, Slice const& slice, std::span<std::byte> out) const = 0;
  /// The same, converted to `dtype`. @throws Error also where there is no such conversion
  void read_as(std::string const& name, Slice const& slice, DType dtype, std::span<std::byte> out) const;

  /// The folder with config.json, tokenizer and other small files.
  std::filesystem::path const& folder() const { return folder_; }

protected:
  std::filesystem::path folder_;
};

/// @throws Error if the folder is neither a checkpoint nor in Hugging Face's form; for a run's folder it says where its
/// model is
void require_model_folder(std::filesystem::path const& folder);

/// Opens either kind. A checkpoint folder has manifest.json, a Hugging Face folder has config.json and *.safetensors.
/// A resumable checkpoint gives its master values rounded to the model's dtype as weights.
/// @throws Error if it is neither, or something about it is inconsistent
std::unique_ptr<TensorSource> open_model(std::filesystem::path const& folder);

}  // namespace refrain::checkpoint
