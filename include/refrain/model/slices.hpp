#pragma once

#include <refrain/checkpoint/checkpoint.hpp>
#include <refrain/checkpoint/writer.hpp>
#include <refrain/model/parameter_store.hpp>

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

/// Parameters between memory and files. The flat buffers are laid out as the store's, one a unit.
namespace refrain::model {

/// Fills flat fp32 buffers with this rank's slices of the objects `prefix` + parameter name of a resumable checkpoint;
/// rows that pad the vocabulary become 0. @throws Error naming the object, for NaN and Inf too
void read_slices(ParameterStore const& store, std::vector<at::Tensor> const& flat_fp32,
                 checkpoint::Checkpoint const& source, std::string const& prefix);

/// The same of a model's weights, converted to the type of the buffers (fp32 or bf16). @throws Error naming the tensor,
/// for a wrong shape and for NaN and Inf too
void read_weights(ParameterStore const& store, std::vector<at::Tensor> const& flat,
                  checkpoint::TensorSource const& source);

/// This rank's share of writing flat fp32 buffers as `prefix` + parameter name, converted to `dtype`. Ranks that hold
/// the same values share the work: a parameter is written by one of the data ranks, one that is not split by one tensor
/// rank.
/// @param data_rank, data_size place among the ranks that hold the same slices
void append_slices(std::vector<checkpoint::SliceToWrite>& slices, ParameterStore const& store,
                   std::vector<at::Tensor> const& flat_fp32, std::string const& prefix, DType dtype, int data_rank,
                   int data_size);

}  // namespace refrain::model
