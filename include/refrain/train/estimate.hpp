#pragma once

#include <refrain/model/parameter_store.hpp>

#include <cstdint>
#include <filesystem>

namespace refrain::train {

/// @throws Error if the file system of `run_dir` has fewer free bytes than `needed`, counting what the run has there
/// already
void require_free_space(std::filesystem::path const& run_dir, int64_t needed);

/// Floating-point operations a second that this rank's matrix products reach while the other ranks measure theirs: the
/// best of a few products of 1024 x 1024 in fp32, on a GPU of 8192 x 8192 in bf16.
double product_rate(at::Device device);

}  // namespace refrain::train
