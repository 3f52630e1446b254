#include <refrain/base/error.hpp>
#include <refrain/model/backend.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace refrain::model {
namespace {

// Cores for one rank: those it is bound to, or its share of the node's where the launcher binds nothing.
int threads_for_this_rank(comm::Communicator const& world) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  int64_t const online = std::max<int64_t>(1, sysconf(_SC_NPROCESSORS_ONLN));
  int64_t const bound = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : online;
  int64_t const share = std::max<int64_t>(1, online / world.split_by_node().size());
  return static_cast<int>(std::min(bound, share));
}

/// Empty where the system does not say.
std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.find(": ") + 2, line.size()));
  return {};
}

class CpuBackend : public Backend {
public:
  explicit CpuBackend(comm::ParallelLayout const& layout)
      : tensor_(comm::mpi_collectives(layout.tensor())), data_(comm::mpi_collectives(layout.data())) {
    int const threads = threads_for_this_rank(layout.world());
    if (std::getenv("OMP_NUM_THREADS") == nullptr) at::set_num_threads(threads);
  }

  at::Device device() const override { return at::kCPU; }
  comm::Collectives& tensor() override { return *tensor_; }
  comm::Collectives& data() override { return *data_; }

  std::string processor() const override { return cpu_model() + " " + at::get_cpu_capability(); }

  std::function<void()> mark() override {
    return [] {};
  }

  int64_t peak_memory() const override {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
      if (int64_t kibibytes = 0; word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
    return 0;
  }

private:
  std::unique_ptr<comm::Collectives> tensor_, data_;
};

}  // namespace

std::unique_ptr<Backend> cpu_backend(comm::ParallelLayout const& layout) {
  return std::make_unique<CpuBackend>(layout);
}

at::ScalarType scalar_type(DType dtype) {
  switch (dtype) {
    case DType::bf16: return at::kBFloat16;
    case DType::fp16: return at::kHalf;
    case DType::fp32: return at::kFloat;
    case DType::fp64: return at::kDouble;
    case DType::int32: return at::kInt;
    case DType::int64: return at::kLong;
    default: break;
  }
  throw Error("no tensors of type " + to_string(dtype));
}

comm::Buffer buffer_of(at::Tensor const& contiguous) {
  TORCH_INTERNAL_ASSERT(contiguous.is_contiguous());
  auto const type = [&] {
    switch (contiguous.scalar_type()) {
      case at::kBFloat16: return DType::bf16;
      case at::kHalf: return DType::fp16;
      case at::kFloat: return DType::fp32;
      case at::kDouble: return DType::fp64;
      case at::kInt: return DType::int32;
      default: TORCH_INTERNAL_ASSERT(contiguous.scalar_type() == at::kLong); return DType::int64;
    }
  }();
  return {contiguous.data_ptr(), static_cast<std::size_t>(contiguous.numel()), type};
}

bool takes_gpus(DeviceChoice choice, comm::Communicator const& world) {
  if (choice != DeviceChoice::automatic) return choice == DeviceChoice::cuda;
  return world.min(gpu_at_hand() ? 1 : 0) == 1;
}

}  // namespace refrain::model
