#include <refrain/comm/device.hpp>

#include "nccl_communicator.hpp"

#include <array>
#include <mutex>
#include <optional>

namespace refrain::comm {
namespace {

ncclDataType_t nccl_type(DType type) {
  switch (type) {
    case DType::bf16: return ncclBfloat16;
    case DType::fp16: return ncclFloat16;
    case DType::fp32: return ncclFloat32;
    case DType::fp64: return ncclFloat64;
    case DType::int32: return ncclInt32;
    case DType::int64: return ncclInt64;
    case DType::int8: return ncclInt8;
    case DType::uint8: return ncclUint8;
  }
  return ncclUint8;
}

bool on_device(Buffer const& buffer) {
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, buffer.data), "cudaPointerGetAttributes");
  return attributes.type == cudaMemoryTypeDevice;
}

/// Events for reuse: making one costs more than recording it.
class EventPool {
public:
  EventPool() = default;
  EventPool(EventPool const&) = delete;
  EventPool& operator=(EventPool const&) = delete;
  ~EventPool() {
    for (cudaEvent_t event : all_) cudaEventDestroy(event);
  }

  /// An event at the end of what `stream` was given so far. @returns its number, from 1
  int64_t record(cudaStream_t stream) {
    std::lock_guard const guard(mutex_);
    if (free_.empty()) {
      cudaEvent_t event = nullptr;
      check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
      all_.push_back(event);
      free_.push_back(static_cast<int64_t>(all_.size()));
    }
    int64_t const number = free_.back();
    check(cudaEventRecord(at(number), stream), "cudaEventRecord");
    free_.pop_back();
    return number;
  }
  /// What `stream` is given from now on begins after the event, which is free again.
  void let_wait(cudaStream_t stream, int64_t number) {
    std::lock_guard const guard(mutex_);
    check(cudaStreamWaitEvent(stream, at(number), 0), "cudaStreamWaitEvent");
    free_.push_back(number);
  }

private:
  cudaEvent_t at(int64_t number) const { return all_[static_cast<std::size_t>(number - 1)]; }

  std::mutex mutex_;
  std::vector<cudaEvent_t> all_;
  std::vector<int64_t> free_;
};

/// A lane's stream and NCCL's communicator on it. Lane::compute has no stream of its own.
class NcclLane {
public:
  NcclLane(Communicator const& ranks, DeviceLanes const& lanes, Lane lane, char const* name)
      : stream_(static_cast<cudaStream_t>(lanes.compute_stream)) {
    if (lane != Lane::compute) {
      int lowest = 0, highest = 0;
      check(cudaDeviceGetStreamPriorityRange(&lowest, &highest), "cudaDeviceGetStreamPriorityRange");
      // Transfers first: they use few of the GPU's units, and what waits for them is much.
      check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, highest), "cudaStreamCreateWithPriority");
      owns_ = true;
    }
    try {
      communicator_.emplace(ranks, name, lanes.timeout_seconds);
    } catch (...) {
      if (owns_) cudaStreamDestroy(stream_);
      throw;
    }
  }
  NcclLane(NcclLane const&) = delete;
  NcclLane& operator=(NcclLane const&) = delete;
  ~NcclLane() {
    communicator_.reset();
    if (owns_) cudaStreamDestroy(stream_);
  }

  cudaStream_t stream() const noexcept { return stream_; }
  bool beside_compute() const noexcept { return owns_; }
  NcclCommunicator& communicator() { return *communicator_; }

private:
  cudaStream_t stream_;
  bool owns_ = false;
  std::optional<NcclCommunicator> communicator_;
};

class NcclCollectives final : public Collectives {
public:
  NcclCollectives(Communicator ranks, DeviceLanes const& lanes)
      : ranks_(std::move(ranks)), host_(mpi_collectives(ranks_)), lanes_(lanes) {
    check(cudaSetDevice(lanes_.device), "cudaSetDevice");
    if (ranks_.size() == 1) return;
    // All at once, and not with the first transfer, which may come from a thread that must not use MPI. NCCL connects a
    // communicator's ranks when they first transfer: one that nobody uses costs little.
    constexpr std::array<char const*, 3> names{"compute", "gather", "reduce"};
    for (std::size_t i = 0; i < names.size(); ++i) parts_[i].emplace(ranks_, lanes_, static_cast<Lane>(i), names[i]);
  }

  int rank() const noexcept override { return ranks_.rank(); }
  int size() const noexcept override { return ranks_.size(); }

  void wait(Ticket ticket, Lane) override {
    if (ticket.id != 0) events_.let_wait(compute(), ticket.id);
  }

private:
  Ticket start_all_reduce(Buffer inout, ReduceOp op, Lane lane) override {
    NcclCommunicator::throw_if_failed();
    if (size() == 1 || inout.count == 0) return {};
    if (!on_device(inout)) return host_->all_reduce(inout, op, lane);
    return launch(lane, "ncclAllReduce", [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclAllReduce(inout.data, inout.data, inout.count, nccl_type(inout.type),
                           op == ReduceOp::sum ? ncclSum : ncclMax, comm, stream);
    });
  }

  Ticket start_reduce_scatter(Buffer out, Buffer in, Lane lane) override {
    NcclCommunicator::throw_if_failed();
    if (out.count == 0) return {};
    if (!on_device(in)) return host_->reduce_scatter(out, in, lane);
    if (size() == 1) return copy(out, in);
    return launch(lane, "ncclReduceScatter", [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclReduceScatter(in.data, out.data, out.count, nccl_type(in.type), ncclSum, comm, stream);
    });
  }

  Ticket start_all_gather(Buffer out, Buffer in, Lane lane) override {
    NcclCommunicator::throw_if_failed();
    if (in.count == 0) return {};
    if (!on_device(in)) return host_->all_gather(out, in, lane);
    if (size() == 1) return copy(out, in);
    return launch(lane, "ncclAllGather", [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclAllGather(in.data, out.data, in.count, nccl_type(in.type), comm, stream);
    });
  }

  cudaStream_t compute() const { return static_cast<cudaStream_t>(lanes_.compute_stream); }

  template <class Call>
  Ticket launch(Lane lane, char const* name, Call const& call) {
    check(cudaSetDevice(lanes_.device), "cudaSetDevice");  // a device is a thread's, and this may be autograd's
    NcclLane& part = *parts_[static_cast<std::size_t>(lane)];
    if (part.beside_compute()) events_.let_wait(part.stream(), events_.record(compute()));
    part.communicator().enqueue(name, [&](ncclComm_t comm) { return call(comm, part.stream()); });
    return part.beside_compute() ? Ticket{events_.record(part.stream())} : Ticket{};
  }

  Ticket copy(Buffer out, Buffer in) {
    if (out.data != in.data)
      check(cudaMemcpyAsync(out.data, in.data, in.count * size_of(in.type), cudaMemcpyDeviceToDevice, compute()),
            "cudaMemcpyAsync");
    return {};
  }

  Communicator ranks_;
  std::unique_ptr<Collectives> host_;
  DeviceLanes lanes_;
  EventPool events_;
  std::array<std::optional<NcclLane>, 3> parts_;  // by lane; empty for one rank
};

}  // namespace

int device_count() noexcept {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::string device_name(int device) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  return properties.name;
}

DeviceMemory device_memory(int device) {
  std::size_t free = 0, all = 0;
  check(cudaSetDevice(device), "cudaSetDevice");
  check(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
  return {static_cast<int64_t>(free), static_cast<int64_t>(all)};
}

int choose_device(Communicator const& world) {
  auto const node = world.split_by_node();
  int device = 0;
  std::string name;
  agree(world, [&] {
    int count = 0;
    if (cudaError_t const code = cudaGetDeviceCount(&count); code != cudaSuccess || count == 0)
      throw UsageError("--device cuda: this process sees no GPU" +
                           (code == cudaSuccess ? std::string() : std::string(" (") + cudaGetErrorString(code) + ")"),
                       "ask the scheduler for GPUs (--gpus-per-node), look at nvidia-smi, or give --device cpu");
    device = count == 1 ? 0 : node.rank();
    if (device >= count)
      throw UsageError(std::to_string(node.size()) + " ranks on this node and " + std::to_string(count) + " GPUs",
                       "start as many ranks a node as it has GPUs");
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
    name.assign(properties.uuid.bytes, sizeof properties.uuid.bytes);
    check(cudaSetDevice(device), "cudaSetDevice");
  });
  auto const names = node.all_gather(name);
  agree(world, [&] {
    for (int other = 0; other < node.rank(); ++other)
      if (names[static_cast<std::size_t>(other)] == name)
        throw UsageError(std::to_string(node.size()) + " ranks on this node, and two of them see the same GPU alone",
                         "start as many ranks a node as it has GPUs, or give each rank its own (--gpus-per-task 1)");
  });
  return device;
}

std::unique_ptr<Collectives> nccl_collectives(Communicator comm, DeviceLanes const& lanes) {
  return std::make_unique<NcclCollectives>(std::move(comm), lanes);
}

}  // namespace refrain::comm
