#pragma once

#include <algorithm>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <thread>
#include <vector>

/// What src/model/cuda_*.cu use of CUDA, on the CPU: a thread for each of a block's threads, the blocks one
/// after the other, a real barrier for __syncthreads. To be included before those files, in one source of a program.
namespace refrain::testing::cuda {

struct Dimension {
  unsigned x = 0;
};
inline thread_local Dimension thread_index;
inline Dimension block_index, block_size, grid_size;  // the same for all threads of a block, which run in step
inline std::unique_ptr<std::barrier<>> block_barrier;
inline std::vector<float> dynamic_shared;
inline double shuffled[1024];

inline void sync() { block_barrier->arrive_and_wait(); }

/// The value that the thread `step` away by exclusive or has.
template <class Value>
Value shuffle_xor(Value value, int step) {
  static_assert(sizeof(Value) <= sizeof(double));
  std::memcpy(&shuffled[thread_index.x], &value, sizeof value);
  sync();
  std::memcpy(&value, &shuffled[thread_index.x ^ static_cast<unsigned>(step)], sizeof value);
  sync();
  return value;
}

/// Two warps a block are enough for everything that can go wrong between warps.
inline constexpr int most_threads = 64;

}  // namespace refrain::testing::cuda

namespace refrain::model::launch {

template <class... Parameters>
void launch(void (*kernel)(Parameters...), int64_t blocks, int threads, int64_t shared_bytes, void* /*stream*/,
            Parameters... arguments) {
  namespace cuda = refrain::testing::cuda;
  threads = std::min(threads, cuda::most_threads);
  cuda::block_size.x = static_cast<unsigned>(threads);
  cuda::grid_size.x = static_cast<unsigned>(blocks);
  // Rubbish, as the GPU's is.
  cuda::dynamic_shared.assign(static_cast<std::size_t>(shared_bytes) / sizeof(float), 12345.F);
  cuda::block_barrier = std::make_unique<std::barrier<>>(threads);
  std::vector<std::jthread> running;
  for (int t = 0; t < threads; ++t)
    running.emplace_back([=] {
      cuda::thread_index.x = static_cast<unsigned>(t);
      for (int64_t block = 0; block < blocks; ++block) {
        if (t == 0) cuda::block_index.x = static_cast<unsigned>(block);
        cuda::sync();
        kernel(arguments...);
        cuda::sync();
      }
    });
}

}  // namespace refrain::model::launch

#define __global__
#define __device__
#define __shared__ static
#define threadIdx refrain::testing::cuda::thread_index
#define blockIdx refrain::testing::cuda::block_index
#define blockDim refrain::testing::cuda::block_size
#define gridDim refrain::testing::cuda::grid_size
#define __syncthreads refrain::testing::cuda::sync
#define __shfl_xor_sync(mask, value, step) refrain::testing::cuda::shuffle_xor(value, step)
#define REFRAIN_DYNAMIC_SHARED(name) float* const name = refrain::testing::cuda::dynamic_shared.data()
