#ifndef REFRAIN_HAVE_CUDA
#include <refrain/base/error.hpp>
#include <refrain/model/backend.hpp>

namespace refrain::model {

bool gpu_at_hand() { return false; }

GpuInfo find_gpu(comm::Communicator const&) {
  throw UsageError("--device cuda: this build trains on CPUs alone",
                   "leave --device out, give --device cpu, or build with env/setup.sh --cuda");
}

std::unique_ptr<Backend> cuda_backend(comm::ParallelLayout const& layout, double) {
  find_gpu(layout.world());
  return nullptr;
}

}  // namespace refrain::model
#endif
