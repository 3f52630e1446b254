#include <refrain/checkpoint/tensor_source.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/checkpoint/boxes.hpp>
#include <refrain/checkpoint/checkpoint.hpp>
#include <refrain/checkpoint/safetensors.hpp>

#include <algorithm>

namespace refrain::checkpoint {

TensorInfo const& TensorSource::info(std::string const& name) const {
  auto const& all = tensors();
  auto const found = std::find_if(all.begin(), all.end(), [&](TensorInfo const& info) { return info.name == name; });
  if (found == all.end())
    throw Error("the model has no tensor " + name, "check that config.json belongs to these weights",
                {.file = folder_});
  return *found;
}

bool TensorSource::contains(std::string const& name) const {
  auto const& all = tensors();
  return std::any_of(all.begin(), all.end(), [&](TensorInfo const& info) { return info.name == name; });
}

void TensorSource::read_as(std::string const& name, Slice const& slice, DType dtype, std::span<std::byte> out) const {
  auto const stored = info(name).dtype;
  if (stored == dtype) return read(name, slice, out);
  std::vector<std::byte> buffer;
  for_each_piece(
      slice.count, Shape(slice.count.size(), 1), size_of(stored), piece_bytes, [&](Slice piece, int64_t first) {
        auto const elements = static_cast<std::size_t>(element_count(piece.count));
        for (std::size_t axis = 0; axis < piece.start.size(); ++axis) piece.start[axis] += slice.start[axis];
        buffer.resize(elements * size_of(stored));
        read(name, piece, buffer);
        convert_values(buffer, stored,
                       out.subspan(static_cast<std::size_t>(first) * size_of(dtype), elements * size_of(dtype)), dtype);
      });
}

void require_model_folder(std::filesystem::path const& folder) {
  if (std::filesystem::exists(folder / "manifest.json") || std::filesystem::exists(folder / "config.json")) return;
  throw Error("neither a checkpoint (no manifest.json) nor a Hugging Face folder (no config.json)",
              std::filesystem::exists(folder / "run.json")
                  ? "this is a run's folder; its model, once it has finished, is " + (folder / "final").string()
                  : "give the folder of a model",
              {.file = folder});
}

std::unique_ptr<TensorSource> open_model(std::filesystem::path const& folder) {
  if (!std::filesystem::is_directory(folder))
    throw Error(std::filesystem::exists(folder) ? "this is a file, not a folder" : "the folder does not exist",
                "give a Hugging Face folder or a checkpoint", {.file = folder});
  if (std::filesystem::exists(folder / "manifest.json")) return std::make_unique<Checkpoint>(folder);
  require_model_folder(folder);
  return std::make_unique<HuggingFaceSource>(folder);
}

}  // namespace refrain::checkpoint
