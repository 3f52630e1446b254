#include "device_kernels.hpp"

#include <refrain/comm/device.hpp>
#include <refrain/model/backend.hpp>

#include <ATen/Context.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>

namespace refrain::model {
namespace {

class CudaBackend final : public Backend {
public:
  CudaBackend(comm::ParallelLayout const& layout, double timeout_seconds)
      : device_(static_cast<c10::DeviceIndex>(comm::choose_device(layout.world()))) {
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    c10::cuda::set_device(device_);
    kernels::install_device_kernels(
        kernels::launched_kernels([device = device_] { return c10::cuda::getCurrentCUDAStream(device).stream(); }));
    comm::DeviceLanes const lanes{.device = device_,
                                  .compute_stream = c10::cuda::getDefaultCUDAStream(device_).stream(),
                                  .timeout_seconds = timeout_seconds};
    tensor_ = comm::nccl_collectives(layout.tensor(), lanes);
    data_ = comm::nccl_collectives(layout.data(), lanes);
  }

  at::Device device() const override { return {at::kCUDA, device_}; }
  std::string processor() const override { return comm::device_name(device_); }
  comm::Collectives& tensor() override { return *tensor_; }
  comm::Collectives& data() override { return *data_; }

  std::function<void()> mark() override {
    auto const event = std::make_shared<c10::Event>(c10::DeviceType::CUDA);
    event->record(c10::cuda::getCurrentCUDAStream(device_).unwrap());
    return [event] { event->synchronize(); };
  }

  int64_t peak_memory() const override {
    auto const stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device_);
    return stats.allocated_bytes[0].peak;  // of all pools together
  }

private:
  c10::DeviceIndex device_;
  std::unique_ptr<comm::Collectives> tensor_, data_;
};

}  // namespace

bool gpu_at_hand() { return comm::device_count() > 0; }

GpuInfo find_gpu(comm::Communicator const& world) {
  int const device = comm::choose_device(world);
  auto const [free, total] = comm::device_memory(device);
  return {.name = comm::device_name(device), .free_memory = free, .total_memory = total};
}

std::unique_ptr<Backend> cuda_backend(comm::ParallelLayout const& layout, double timeout_seconds) {
  return std::make_unique<CudaBackend>(layout, timeout_seconds);
}

}  // namespace refrain::model
