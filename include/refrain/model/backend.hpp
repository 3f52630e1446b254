#pragma once

#include <refrain/base/dtype.hpp>
#include <refrain/comm/collectives.hpp>
#include <refrain/comm/parallel_layout.hpp>
#include <refrain/model/choices.hpp>

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>

namespace refrain::model {

/// The device that tensors live on, and the collectives between its ranks. Only its implementations name CUDA or NCCL.
class Backend {
public:
  virtual ~Backend() = default;
  virtual at::Device device() const = 0;
  virtual std::string processor() const = 0;  ///< its name: bits of results depend on it
  virtual comm::Collectives& tensor() = 0;    ///< over the ranks that hold slices of the same weights
  virtual comm::Collectives& data() = 0;      ///< over the ranks that hold the same slice
  /// A wait, from any thread, for all that the device was given before this call.
  virtual std::function<void()> mark() = 0;
  /// Highest memory in use so far, in bytes (VmHWM on the CPU; of a GPU what its tensors took).
  virtual int64_t peak_memory() const = 0;
};

/// Host memory and MPI.
std::unique_ptr<Backend> cpu_backend(comm::ParallelLayout const& layout);

/// Whether this build has a GPU path, and the process sees a GPU.
bool gpu_at_hand();
/// Whether the ranks are to work on GPUs: `auto` takes them where every rank sees one. @collective
bool takes_gpus(DeviceChoice choice, comm::Communicator const& world);

struct GpuInfo {
  std::string name;                           ///< "NVIDIA H100 80GB HBM3"
  int64_t free_memory = 0, total_memory = 0;  ///< bytes
};
/// This rank's GPU: by its place on the node, or the only one that it sees.
/// @throws UsageError on every rank: no GPU, or more ranks than GPUs on a node, or a build without CUDA. @collective
GpuInfo find_gpu(comm::Communicator const& world);
/// The GPU that `find_gpu` names, NCCL for its memory and MPI for the host's. `timeout_seconds`: for the ranks to
/// connect; 0 waits for ever. To be made once a process. @throws as find_gpu, and Error if the ranks do not connect.
/// @collective
std::unique_ptr<Backend> cuda_backend(comm::ParallelLayout const& layout, double timeout_seconds);

/// libtorch's name of a type. @throws Error for int8 and uint8, of which there are no tensors
at::ScalarType scalar_type(DType dtype);
/// The memory of a tensor, for collectives; it must live until they are done. @pre contiguous, of a type above
comm::Buffer buffer_of(at::Tensor const& contiguous);

}  // namespace refrain::model
