#include <refrain/train/slices.hpp>

#include <refrain/model/kernels.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <span>

namespace refrain::train {
namespace {

float* begin_of(model::ParamSpec const& spec, std::vector<at::Tensor> const& flat) {
  return flat[static_cast<std::size_t>(spec.info.unit)].mutable_data_ptr<float>() + spec.offset;
}

/// Fills every parameter's part by `read(spec, bytes)`, after `shape_of(info)` proved to be the model's.
template <class ShapeOf, class Read>
void fill(model::ParameterStore const& store, std::vector<at::Tensor> const& flat, std::filesystem::path const& folder,
          ShapeOf const& shape_of, Read const& read) {
  for (auto const& spec : store.specs()) {
    if (Shape const shape = shape_of(spec.info); shape != spec.info.shape)
      throw Error("shape is " + to_string(shape) + ", config.json makes it " + to_string(spec.info.shape),
                  "take weights and config.json from the same model", {.file = folder, .object = spec.info.name});
    float* const values = begin_of(spec, flat);
    int64_t const held = spec.global_count();
    std::fill(values + held, values + spec.local_count(), 0.F);
    if (held == 0) continue;
    read(spec, std::as_writable_bytes(std::span(values, static_cast<std::size_t>(held))));
    if (!model::kernels::all_finite(at::from_blob(values, {held}, at::kFloat)))
      throw Error("the tensor holds NaN or infinite values", "restore this model's files from where they came",
                  {.file = folder, .object = spec.info.name});
  }
}

}  // namespace

void read_slices(model::ParameterStore const& store, std::vector<at::Tensor> const& flat_fp32,
                 checkpoint::Checkpoint const& source, std::string const& prefix) {
  fill(
      store, flat_fp32, source.folder(),
      [&](checkpoint::ParameterInfo const& info) {
        auto const found = source.manifest().tensors.find(prefix + info.name);
        if (found == source.manifest().tensors.end())
          throw Error("the object is missing", "", {.file = source.folder(), .object = prefix + info.name});
        return found->second.shape;
      },
      [&](model::ParamSpec const& spec, std::span<std::byte> out) {
        source.read_object(prefix + spec.info.name, spec.global, out);
      });
}

void read_weights(model::ParameterStore const& store, std::vector<at::Tensor> const& flat_fp32,
                  checkpoint::TensorSource const& source) {
  fill(
      store, flat_fp32, source.folder(),
      [&](checkpoint::ParameterInfo const& info) { return source.info(info.name).shape; },
      [&](model::ParamSpec const& spec, std::span<std::byte> out) {
        source.read_as(spec.info.name, spec.global, DType::fp32, out);
      });
}

void append_slices(std::vector<checkpoint::SliceToWrite>& slices, model::ParameterStore const& store,
                   std::vector<at::Tensor> const& flat_fp32, std::string const& prefix, DType dtype, int data_rank,
                   int data_size) {
  bool const first_of_tensor = store.backend().tensor().rank() == 0;
  int turn = 0;
  for (auto const& spec : store.specs()) {
    int const writer = turn++ % data_size;
    if (writer != data_rank || (spec.info.split == checkpoint::Split::none && !first_of_tensor)) continue;
    if (element_count(spec.global.count) == 0) continue;
    float const* const values = begin_of(spec, flat_fp32);
    // What pads the vocabulary stands behind the values, so that a slice is contiguous in memory.
    slices.push_back({.object = prefix + spec.info.name,
                      .dtype = dtype,
                      .global_shape = spec.info.shape,
                      .slice = spec.global,
                      .fill = [values, dtype](int64_t first_byte, std::span<std::byte> out) {
                        auto const width = static_cast<int64_t>(size_of(dtype));
                        auto const from = std::as_bytes(
                            std::span(values + first_byte / width, out.size() / static_cast<std::size_t>(width)));
                        convert(from, DType::fp32, out, dtype);
                      }});
  }
}

}  // namespace refrain::train
