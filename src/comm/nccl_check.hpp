#pragma once

#include <refrain/base/error.hpp>

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <string>

namespace refrain::comm {

/// @throws Error with CUDA's own words if `code` is not cudaSuccess
inline void check(cudaError_t code, char const* call) {
  if (code == cudaSuccess) return;
  throw Error(std::string(call) + " failed: " + cudaGetErrorString(code),
              "look at this node's GPU with nvidia-smi and in its kernel log");
}

/// What NCCL says about `code`, and its last warning where there is one.
inline std::string nccl_words(ncclResult_t code) {
  std::string const last = ncclGetLastError(nullptr);
  return std::string(ncclGetErrorString(code)) + (last.empty() ? "" : ": " + last.substr(0, last.find('\n')));
}

/// The same for NCCL; a call of a non-blocking communicator may be in progress.
inline void check(ncclResult_t code, char const* call) {
  if (code == ncclSuccess || code == ncclInProgress) return;
  throw Error(std::string(call) + " failed: " + nccl_words(code),
              "look for a rank that ended or a network that fails; NCCL_DEBUG=WARN says more");
}

}  // namespace refrain::comm
