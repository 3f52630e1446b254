#pragma once

#include <refrain/checkpoint/checkpoint.hpp>
#include <refrain/checkpoint/writer.hpp>
#include <refrain/model/parameter_store.hpp>

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

/// Parameters between memory and files.
namespace refrain::model {

/// Values of a stretch of a unit's flat buffer: `values` is [range.size()], fp32 or bf16.
struct FlatPart {
  int unit;
  at::Tensor values;
  FlatRange range;
};

/// Fills fp32 parts with this rank's slices of the objects `prefix` + parameter name of a resumable
/// checkpoint; rows that pad the vocabulary become 0. @throws Error naming the object, for NaN and Inf too
void read_slices(ParameterLayout const& layout, std::vector<FlatPart> const& parts,
                 checkpoint::Checkpoint const& source, std::string const& prefix);

/// The same of a model's weights, converted to the type of the parts. @throws Error naming the tensor, for a wrong
/// shape and for NaN and Inf too
void read_weights(ParameterLayout const& layout, std::vector<FlatPart> const& parts,
                  checkpoint::TensorSource const& source);

/// Weights of the model's units, in their type: this rank's part. An adapter's units stay as they are.
/// @throws as read_weights
void load_model(ParameterStore const& store, checkpoint::TensorSource const& model);

/// This rank's share of writing fp32 parts as `prefix` + parameter name, converted to `dtype`. The parts
/// of the data ranks must not overlap; a parameter that is not split is written by one tensor rank.
void append_slices(std::vector<checkpoint::SliceToWrite>& slices, ParameterLayout const& layout,
                   std::vector<FlatPart> const& parts, std::string const& prefix, DType dtype);

}  // namespace refrain::model
