#pragma once

#include "kernel_launch.hpp"

#include <cmath>
#include <cstring>

/// What the GPU's loops share: element types, moves of several elements, sums over a block, starting a kernel.
/// nvcc compiles them for GPUs; a unit test compiles the same text for the CPU, with threads for CUDA's
/// (tests/helpers/cpp/cuda_on_cpu.hpp), so that indices and sums are checked where there is no GPU. Hence no CUDA
/// beyond blocks, threads, shared memory, barriers and shuffles.
#ifdef __CUDACC__
#include <refrain/base/error.hpp>

#include <cuda_runtime.h>

#include <string>

namespace refrain::model::launch {
namespace {

template <class... Parameters>
void launch(void (*kernel)(Parameters...), int64_t blocks, int threads, int64_t shared_bytes, void* stream,
            Parameters... arguments) {
  if (blocks == 0) return;
  auto const check = [](cudaError_t code) {
    if (code != cudaSuccess)
      throw Error(std::string("a GPU kernel did not start: ") + cudaGetErrorString(code),
                  "look at this node's GPU with nvidia-smi");
  };
  if (shared_bytes > 48 * 1024)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)));
  kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), static_cast<std::size_t>(shared_bytes),
           static_cast<cudaStream_t>(stream)>>>(arguments...);
  check(cudaGetLastError());
}

}  // namespace
}  // namespace refrain::model::launch
#define REFRAIN_DYNAMIC_SHARED(name) extern __shared__ float name[]
#endif

namespace refrain::model::launch {
namespace {

constexpr int threads_a_block = 256, warp = 32;

struct Bf16 {
  uint16_t bits;
};

__device__ inline float bits_as_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
__device__ inline uint32_t float_as_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

__device__ inline float load(float value) { return value; }
__device__ inline float load(Bf16 value) { return bits_as_float(static_cast<uint32_t>(value.bits) << 16); }
__device__ inline void store(float& place, float value) { place = value; }
/// Rounds to the nearest, ties to even; NaN stays one.
__device__ inline void store(Bf16& place, float value) {
  uint32_t const bits = float_as_bits(value);
  place.bits = static_cast<uint16_t>(value != value ? 0x7fc0u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/// N neighbours, moved by one instruction of 16 bytes where N > 1.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T value[N];
};
template <class T>
constexpr int widest = 16 / sizeof(T);

template <class T, int N>
__device__ inline void read(T const* from, float (&to)[N]) {
  Pack<T, N> const pack = *reinterpret_cast<Pack<T, N> const*>(from);
  for (int i = 0; i < N; ++i) to[i] = load(pack.value[i]);
}
template <class T, int N>
__device__ inline void write(T* to, float const (&from)[N]) {
  Pack<T, N> pack;
  for (int i = 0; i < N; ++i) store(pack.value[i], from[i]);
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

/// The sum over the block's threads, on each of them. All threads call it together.
template <class Value>
__device__ inline Value block_sum(Value value) {
  __shared__ Value sums[32];
  for (int step = warp / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  int const place = static_cast<int>(threadIdx.x) / warp, warps = static_cast<int>(blockDim.x) / warp;
  __syncthreads();  // whoever still reads the sums of the call before
  if (threadIdx.x % warp == 0) sums[place] = value;
  __syncthreads();
  Value sum = 0;
  for (int i = 0; i < warps; ++i) sum += sums[i];
  return sum;
}

// --- Which instance
// ------------------------------------------------------------------------------------------------------

/// Blocks for a loop over `count` elements: enough for every GPU, few enough that starting them costs nothing.
int64_t blocks_for(int64_t count) {
  int64_t const needed = (count + threads_a_block - 1) / threads_a_block;
  return needed < 4096 ? needed : 4096;
}

bool aligned(void const* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }

template <class T, int N>
struct Instance {
  using Type = T;
  static constexpr int pack = N;
};

/// body(Instance<T, N>) with N > 1 where rows of `width` and all of the memory allow it.
template <class Body>
void with_instance(Element element, int64_t width, std::initializer_list<void const*> memory, Body const& body) {
  bool packed = true;
  for (void const* data : memory) packed = packed && aligned(data);
  if (element == Element::bf16)
    packed&& width % widest<Bf16> == 0 ? body(Instance<Bf16, widest<Bf16>>{}) : body(Instance<Bf16, 1>{});
  else
    packed&& width % widest<float> == 0 ? body(Instance<float, widest<float>>{}) : body(Instance<float, 1>{});
}

template <class T>
T* as(Values const& values) {
  return static_cast<T*>(values.data);
}

}  // namespace

}  // namespace refrain::model::launch
