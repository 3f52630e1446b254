#pragma once

#include <refrain/model/parameter_store.hpp>

#include <cstdint>
#include <filesystem>

namespace refrain::train {

/// Parameters of the whole model.
int64_t parameter_count(model::ParameterStore const& store);
/// Those of them that are trained: all, or the adapter's.
int64_t trained_count(model::ParameterStore const& store);

/// Expected highest memory of a rank in bytes: weights, gradients, master weights and moments as they are allocated,
/// and the saved activations of a micro-batch of `tokens` tokens.
int64_t rank_memory(model::ParameterStore const& store, int64_t tokens, int64_t logits_chunk_rows);

/// Expected highest use of disk by a run in bytes: `keep` resumable checkpoints and the one being written, and final/.
int64_t run_disk(model::ParameterStore const& store, int64_t keep, DType final_dtype);

/// @throws Error if the file system of `run_dir` has fewer free bytes than `needed`, counting what the run has there
/// already
void require_free_space(std::filesystem::path const& run_dir, int64_t needed);

/// Floating-point operations of one optimizer step's forward and backward on `tokens` tokens, `scored` of which meet
/// the output matrix: 6 a trained weight and token (PaLM, arXiv 2204.02311, appendix B) and 4 a frozen one, embedding
/// and attention left out.
double step_flops(model::ParameterStore const& store, double tokens, double scored);

/// Floating-point operations a second that this rank's matrix products reach while the other ranks measure theirs: the
/// best of a few products of 1024 x 1024 in fp32, on a GPU of 8192 x 8192 in bf16.
double product_rate(at::Device device);

}  // namespace refrain::train
