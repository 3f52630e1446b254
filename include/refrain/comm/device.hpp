#pragma once

#include <refrain/comm/collectives.hpp>

#include <memory>
#include <string>

/// GPUs as `comm` knows them: by number, their memory as plain pointers, their streams without a type. Only builds with
/// CUDA have these functions (REFRAIN_HAVE_CUDA), unless they say otherwise.
namespace refrain::comm {

/// GPUs that this process sees; 0 without a driver.
int device_count() noexcept;

/// "NVIDIA H100 80GB HBM3". @throws Error
std::string device_name(int device);

struct DeviceMemory {
  int64_t free, total;  ///< bytes
};
/// @throws Error
DeviceMemory device_memory(int device);

/// The GPU of this rank: the rank's place on its node, or the only one where the launcher shows each rank its own.
/// @throws the same Error on every rank where there is no GPU, or two ranks of a node would share one. @collective
int choose_device(Communicator const& world);

/// Lets every rank take its GPU and NCCL connect them all, and lets go of them again. Builds without CUDA have this
/// too.
/// @throws Error where a rank has no GPU or the ranks do not connect within a minute @collective
void try_devices(Communicator const& world);

/// What NCCL needs beside the ranks.
struct DeviceLanes {
  int device;
  void* compute_stream;    ///< the cudaStream_t of the work before and after collectives; null is the default stream
  double timeout_seconds;  ///< for ranks that do not come to the start; 0 waits for ever
};

/// Collectives over the memory of GPUs through NCCL, a communicator and a stream a lane; Lane::compute uses the stream
/// of the computation itself. A call returns at once: the transfer begins when what the compute stream was given before
/// is done, and `wait` lets the compute stream, not the host, wait for its end. So `wait` must come before the buffers
/// are used or freed, by work of the same compute stream.
///
/// Sums are in NCCL's order: the same bits in every run with the same ranks on the same places only while NCCL chooses
/// the same algorithm; bf16 sums are rounded at each hop. Buffers in host memory (metrics, decisions) go through MPI,
/// as `mpi_collectives` does it: these calls must come from MPI's thread. Others may come from any thread, one at a
/// time.
///
/// A thread watches all communicators of the process. An error of NCCL (a lost rank, a broken link) ends their
/// transfers on this rank, and the next call here @throws Error with NCCL's words.
/// @collective over `comm`; @throws Error if the ranks do not connect
std::unique_ptr<Collectives> nccl_collectives(Communicator comm, DeviceLanes const& lanes);

}  // namespace refrain::comm
