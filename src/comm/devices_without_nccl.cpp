#ifndef REFRAIN_HAVE_CUDA
#include <refrain/base/error.hpp>
#include <refrain/comm/device.hpp>

namespace refrain::comm {

void try_devices(Communicator const&) { throw Error("this build has no NCCL", "build with env/setup.sh --cuda"); }

}  // namespace refrain::comm
#endif
