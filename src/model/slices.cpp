#include <refrain/model/slices.hpp>

#include <refrain/base/error.hpp>
#include <refrain/checkpoint/boxes.hpp>
#include <refrain/model/kernels.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <span>

namespace refrain::model {
namespace {

using checkpoint::Slice;

/// The boxes, in the global tensor, of a parameter's elements [first, first + count) on this rank, padding left out.
void for_each_global_box(ParameterLayout::Piece const& piece,
                         std::function<void(Slice const& box, int64_t at)> const& visit) {
  ParamSpec const& spec = piece.spec;
  int64_t const held = std::min(piece.count, spec.global_count() - piece.first);
  // What pads the vocabulary stands behind the rows that are held, so that places in both shapes are the same.
  checkpoint::for_each_consecutive_box(spec.global.count, piece.first, held, [&](Slice box, int64_t at) {
    for (std::size_t axis = 0; axis < box.start.size(); ++axis) box.start[axis] += spec.global.start[axis];
    visit(box, at);
  });
}

/// Bytes of a box that pass through host memory at once on their way to a GPU.
constexpr int64_t staged_bytes = int64_t{64} << 20;

/// Reads a box into `target` by `read(box, bytes)`: at once into host memory, in pieces of rows for a GPU.
template <class Read>
void read_into(at::Tensor const& target, Slice const& box, Read const& read) {
  auto const bytes_of = [](at::Tensor const& host) {
    return std::span(static_cast<std::byte*>(host.mutable_data_ptr()), host.nbytes());
  };
  if (target.is_cpu()) return read(box, bytes_of(target));
  int64_t const rows = box.count.empty() ? 1 : box.count[0], row = target.numel() / std::max<int64_t>(1, rows);
  int64_t const step = std::max<int64_t>(1, staged_bytes / std::max<int64_t>(1, row * target.element_size()));
  for (int64_t begin = 0; begin < rows; begin += step) {
    int64_t const count = std::min(step, rows - begin);
    Slice piece = box;
    if (!box.count.empty()) piece.start[0] += begin, piece.count[0] = count;
    at::Tensor const host = at::empty({count * row}, target.options().device(at::kCPU));
    read(piece, bytes_of(host));
    target.narrow(0, begin * row, count * row).copy_(host);
  }
}

/// Fills every parameter's part by `read(name, box, dtype, bytes)`, after `shape_of(info)` proved to be the model's.
template <class ShapeOf, class Read>
void fill(ParameterLayout const& layout, std::vector<FlatPart> const& parts, std::filesystem::path const& folder,
          ShapeOf const& shape_of, Read const& read) {
  for (FlatPart const& part : parts)
    for (auto const& spec : layout.specs(part.unit))
      if (Shape const shape = shape_of(spec.info); shape != spec.info.shape)
        throw Error("shape is " + to_string(shape) + ", config.json makes it " + to_string(spec.info.shape),
                    "take weights and config.json from the same model", {.file = folder, .object = spec.info.name});
  for (FlatPart const& part : parts) {
    layout.for_each_piece(part.unit, part.range, [&](ParameterLayout::Piece const& piece) {
      at::Tensor const values = part.values.narrow(0, piece.at, piece.count);
      int64_t const held = std::clamp<int64_t>(piece.spec.global_count() - piece.first, 0, piece.count);
      values.narrow(0, held, piece.count - held).zero_();
      if (held == 0) return;
      for_each_global_box(piece, [&](Slice const& box, int64_t at) {
        at::Tensor const target = values.narrow(0, at, element_count(box.count));
        auto const dtype = target.scalar_type() == at::kBFloat16 ? DType::bf16 : DType::fp32;
        read_into(target, box, [&](Slice const& part_of_box, std::span<std::byte> out) {
          read(piece.spec.info.name, part_of_box, dtype, out);
        });
      });
      if (!kernels::all_finite(values))
        throw Error("the tensor holds NaN or infinite values", "restore this model's files from where they came",
                    {.file = folder, .object = piece.spec.info.name});
    });
  }
}

}  // namespace

void read_slices(ParameterLayout const& layout, std::vector<FlatPart> const& parts,
                 checkpoint::Checkpoint const& source, std::string const& prefix) {
  fill(
      layout, parts, source.folder(),
      [&](checkpoint::ParameterInfo const& info) {
        auto const found = source.manifest().tensors.find(prefix + info.name);
        if (found == source.manifest().tensors.end())
          throw Error("the object is missing", "", {.file = source.folder(), .object = prefix + info.name});
        return found->second.shape;
      },
      [&](std::string const& name, Slice const& box, DType, std::span<std::byte> out) {
        source.read_object(prefix + name, box, out);
      });
}

void read_weights(ParameterLayout const& layout, std::vector<FlatPart> const& parts,
                  checkpoint::TensorSource const& source) {
  fill(
      layout, parts, source.folder(),
      [&](checkpoint::ParameterInfo const& info) { return source.info(info.name).shape; },
      [&](std::string const& name, Slice const& box, DType dtype, std::span<std::byte> out) {
        source.read_as(name, box, dtype, out);
      });
}

void load_model(ParameterStore const& store, checkpoint::TensorSource const& model) {
  std::vector<FlatPart> parts;
  for (int unit = 0; unit < store.layout().model_units(); ++unit)
    parts.push_back({unit, store.held_weights(unit), store.held(unit)});
  read_weights(store.layout(), parts, model);
}

void append_slices(std::vector<checkpoint::SliceToWrite>& slices, ParameterLayout const& layout,
                   std::vector<FlatPart> const& parts, std::string const& prefix, DType dtype) {
  bool const first_of_tensor = layout.place().tensor_rank == 0;
  for (FlatPart const& part : parts) {
    layout.for_each_piece(part.unit, part.range, [&](ParameterLayout::Piece const& piece) {
      if (piece.spec.info.split == checkpoint::Split::none && !first_of_tensor) return;
      if (piece.first >= piece.spec.global_count()) return;
      at::Tensor const values = part.values.narrow(0, piece.at, piece.count);
      for_each_global_box(piece, [&](Slice const& box, int64_t at) {
        slices.push_back({.object = prefix + piece.spec.info.name,
                          .dtype = dtype,
                          .global_shape = piece.spec.info.shape,
                          .slice = box,
                          .fill = [values, at, dtype](int64_t first_byte, std::span<std::byte> out) {
                            auto const width = static_cast<int64_t>(size_of(dtype));
                            auto const count = static_cast<int64_t>(out.size()) / width;
                            at::Tensor const host = values.narrow(0, at + first_byte / width, count).to(at::kCPU);
                            auto const from = std::as_bytes(std::span(host.const_data_ptr<float>(), host.numel()));
                            convert_values(from, DType::fp32, out, dtype);
                          }});
      });
    });
  }
}

}  // namespace refrain::model
