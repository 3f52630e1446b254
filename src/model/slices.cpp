#include <refrain/model/slices.hpp>

#include <refrain/model/kernels.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <span>

namespace refrain::model {
namespace {

/// A parameter's values in its unit's buffer, without what pads the vocabulary: that stands behind them, so that a
/// slice is contiguous in memory.
at::Tensor values_of(ParamSpec const& spec, std::vector<at::Tensor> const& flat) {
  return flat[static_cast<std::size_t>(spec.info.unit)].narrow(0, spec.offset, spec.global_count());
}

/// Fills every parameter's part by `read(spec, dtype, bytes)`, after `shape_of(info)` proved to be the model's.
template <class ShapeOf, class Read>
void fill(ParameterStore const& store, std::vector<at::Tensor> const& flat, std::filesystem::path const& folder,
          ShapeOf const& shape_of, Read const& read) {
  for (auto const& spec : store.specs()) {
    if (Shape const shape = shape_of(spec.info); shape != spec.info.shape)
      throw Error("shape is " + to_string(shape) + ", config.json makes it " + to_string(spec.info.shape),
                  "take weights and config.json from the same model", {.file = folder, .object = spec.info.name});
    int64_t const held = spec.global_count();
    flat[static_cast<std::size_t>(spec.info.unit)].narrow(0, spec.offset + held, spec.local_count() - held).zero_();
    if (held == 0) continue;
    at::Tensor const values = values_of(spec, flat);
    read(spec, values.scalar_type() == at::kBFloat16 ? DType::bf16 : DType::fp32,
         std::span(static_cast<std::byte*>(values.mutable_data_ptr()), values.nbytes()));
    if (!kernels::all_finite(values))
      throw Error("the tensor holds NaN or infinite values", "restore this model's files from where they came",
                  {.file = folder, .object = spec.info.name});
  }
}

}  // namespace

void read_slices(ParameterStore const& store, std::vector<at::Tensor> const& flat_fp32,
                 checkpoint::Checkpoint const& source, std::string const& prefix) {
  fill(
      store, flat_fp32, source.folder(),
      [&](checkpoint::ParameterInfo const& info) {
        auto const found = source.manifest().tensors.find(prefix + info.name);
        if (found == source.manifest().tensors.end())
          throw Error("the object is missing", "", {.file = source.folder(), .object = prefix + info.name});
        return found->second.shape;
      },
      [&](ParamSpec const& spec, DType, std::span<std::byte> out) {
        source.read_object(prefix + spec.info.name, spec.global, out);
      });
}

void read_weights(ParameterStore const& store, std::vector<at::Tensor> const& flat,
                  checkpoint::TensorSource const& source) {
  fill(
      store, flat, source.folder(), [&](checkpoint::ParameterInfo const& info) { return source.info(info.name).shape; },
      [&](ParamSpec const& spec, DType dtype, std::span<std::byte> out) {
        source.read_as(spec.info.name, spec.global, dtype, out);
      });
}

void append_slices(std::vector<checkpoint::SliceToWrite>& slices, ParameterStore const& store,
                   std::vector<at::Tensor> const& flat_fp32, std::string const& prefix, DType dtype, int data_rank,
                   int data_size) {
  bool const first_of_tensor = store.backend().tensor().rank() == 0;
  int turn = 0;
  for (auto const& spec : store.specs()) {
    int const writer = turn++ % data_size;
    if (writer != data_rank || (spec.info.split == checkpoint::Split::none && !first_of_tensor)) continue;
    if (element_count(spec.global.count) == 0) continue;
    float const* const values = values_of(spec, flat_fp32).const_data_ptr<float>();
    slices.push_back({.object = prefix + spec.info.name,
                      .dtype = dtype,
                      .global_shape = spec.info.shape,
                      .slice = spec.global,
                      .fill = [values, dtype](int64_t first_byte, std::span<std::byte> out) {
                        auto const width = static_cast<int64_t>(size_of(dtype));
                        auto const from = std::as_bytes(
                            std::span(values + first_byte / width, out.size() / static_cast<std::size_t>(width)));
                        convert_values(from, DType::fp32, out, dtype);
                      }});
  }
}

}  // namespace refrain::model
