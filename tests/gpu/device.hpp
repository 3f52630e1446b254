#pragma once

#include <refrain/model/backend.hpp>

#include <ATen/ATen.h>

namespace refrain::model::testing {

/// This process's GPU. One backend lives for all cases of a program: there is one set of kernels a process.
inline Backend& gpu() {
  static comm::ParallelLayout const layout{comm::Communicator::single(), 1};
  static auto const backend = cuda_backend(layout, 60);
  return *backend;
}

inline at::Tensor on_gpu(at::Tensor const& tensor) { return tensor.to(gpu().device()); }
inline at::Tensor on_cpu(at::Tensor const& tensor) { return tensor.to(at::kCPU); }

}  // namespace refrain::model::testing
