// Loops over the rows of activations: RMSNorm, rotary embedding, SwiGLU.
#include "cuda_blocks.cuh"

namespace refrain::model::launch {
namespace {

// --- RMSNorm: a block a row
// -------------------------------------------------------------------------------------------

template <class T, int N>
__device__ inline void scale_row(T const* x, T const* weight, float scale, T* y, int64_t width) {
  for (int64_t j = threadIdx.x * N; j < width; j += static_cast<int64_t>(blockDim.x) * N) {
    float value[N], factor[N];
    read<T, N>(x + j, value);
    read<T, N>(weight + j, factor);
    for (int i = 0; i < N; ++i) value[i] = value[i] * scale * factor[i];
    write<T, N>(y + j, value);
  }
}

template <class T, int N>
__global__ void rms_norm_kernel(T const* x, T const* weight, T* y, float* scale, int64_t width, float eps) {
  int64_t const row = blockIdx.x;
  float sum = 0;
  for (int64_t j = threadIdx.x * N; j < width; j += static_cast<int64_t>(blockDim.x) * N) {
    float value[N];
    read<T, N>(x + row * width + j, value);
    for (int i = 0; i < N; ++i) sum += value[i] * value[i];
  }
  sum = block_sum(sum);
  float const factor = 1.F / sqrtf(sum / static_cast<float>(width) + eps);
  if (threadIdx.x == 0) scale[row] = factor;
  scale_row<T, N>(x + row * width, weight, factor, y + row * width, width);
}

template <class T, int N>
__global__ void rms_norm_again_kernel(T const* x, T const* weight, T* y, float* scale, int64_t width) {
  int64_t const row = blockIdx.x;
  scale_row<T, N>(x + row * width, weight, scale[row], y + row * width, width);
}

/// Rows block, block + blocks, ...; a thread keeps its own columns' sums of the weight's gradient in shared memory.
template <class T, int N>
__global__ void rms_norm_backward_kernel(T const* dy, T const* x, T const* weight, float const* scale, T* dx,
                                         float* partial, int64_t rows, int64_t width) {
  REFRAIN_DYNAMIC_SHARED(weight_grad);
  int64_t const first = threadIdx.x * N, step = static_cast<int64_t>(blockDim.x) * N;
  for (int64_t j = first; j < width; j += step)
    for (int i = 0; i < N; ++i) weight_grad[j + i] = 0;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    T const *const dy_row = dy + row * width, *const x_row = x + row * width;
    float const factor = scale[row];
    float dot = 0;
    for (int64_t j = first; j < width; j += step) {
      float slope[N], value[N], weights[N];
      read<T, N>(dy_row + j, slope);
      read<T, N>(x_row + j, value);
      read<T, N>(weight + j, weights);
      for (int i = 0; i < N; ++i) dot += slope[i] * weights[i] * value[i];
    }
    float const mean = block_sum(dot) * factor / static_cast<float>(width);
    for (int64_t j = first; j < width; j += step) {
      float slope[N], value[N], weights[N];
      read<T, N>(dy_row + j, slope);
      read<T, N>(x_row + j, value);
      read<T, N>(weight + j, weights);
      for (int i = 0; i < N; ++i) {
        float const normed = value[i] * factor;
        weight_grad[j + i] += slope[i] * normed;
        value[i] = factor * (slope[i] * weights[i] - normed * mean);
      }
      write<T, N>(dx + row * width + j, value);
    }
  }
  for (int64_t j = first; j < width; j += step)
    for (int i = 0; i < N; ++i) partial[blockIdx.x * width + j + i] = weight_grad[j + i];
}

// --- Rotary embedding: a block a row, a thread a pair of dimensions
// ----------------------------------------------------

template <class T>
__global__ void rotate_kernel(T* x, int64_t row_width, int64_t heads, int64_t head_dim, int64_t const* positions,
                              float const* cos, float const* sin, float sign) {
  int64_t const row = blockIdx.x, half = head_dim / 2;
  float const *const cosine = cos + positions[row] * half, *const sine = sin + positions[row] * half;
  for (int64_t i = threadIdx.x; i < heads * half; i += blockDim.x) {
    int64_t const j = i % half;
    T *const first = x + row * row_width + i / half * head_dim + j, *const second = first + half;
    float const a = load(*first), b = load(*second), s = sine[j] * sign;
    store(*first, a * cosine[j] - b * s);
    store(*second, b * cosine[j] + a * s);
  }
}

// --- SwiGLU: a grid over all elements
// ---------------------------------------------------------------------------------

template <class T, int N>
__global__ void swiglu_kernel(T const* gate_up, T* y, int64_t rows, int64_t width) {
  int64_t const packs = width / N;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < rows * packs;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    int64_t const row = i / packs, j = i % packs * N;
    float gate[N], up[N];
    read<T, N>(gate_up + 2 * row * width + j, gate);
    read<T, N>(gate_up + (2 * row + 1) * width + j, up);
    for (int k = 0; k < N; ++k) gate[k] = gate[k] / (1.F + expf(-gate[k])) * up[k];
    write<T, N>(y + row * width + j, gate);
  }
}

template <class T, int N>
__global__ void swiglu_backward_kernel(T const* dy, T* gate_up, int64_t rows, int64_t width) {
  int64_t const packs = width / N;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < rows * packs;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    int64_t const row = i / packs, j = i % packs * N;
    T *const gate_place = gate_up + 2 * row * width + j, *const up_place = gate_place + width;
    float slope[N], gate[N], up[N];
    read<T, N>(dy + row * width + j, slope);
    read<T, N>(gate_place, gate);
    read<T, N>(up_place, up);
    for (int k = 0; k < N; ++k) {
      float const g = gate[k], sigmoid = 1.F / (1.F + expf(-g));
      gate[k] = slope[k] * up[k] * sigmoid * (1.F + g * (1.F - sigmoid));
      up[k] = slope[k] * g * sigmoid;
    }
    write<T, N>(gate_place, gate);
    write<T, N>(up_place, up);
  }
}

}  // namespace

void rms_norm(void* stream, Norm const& norm, float eps) {
  with_instance(norm.x.element, norm.width, {norm.x.data, norm.weight.data, norm.y.data}, [&](auto instance) {
    using T = typename decltype(instance)::Type;
    launch(rms_norm_kernel<T, decltype(instance)::pack>, norm.rows, threads_a_block, 0, stream,
           static_cast<T const*>(as<T>(norm.x)), static_cast<T const*>(as<T>(norm.weight)), as<T>(norm.y), norm.scale,
           norm.width, eps);
  });
}

void rms_norm_again(void* stream, Norm const& norm) {
  with_instance(norm.x.element, norm.width, {norm.x.data, norm.weight.data, norm.y.data}, [&](auto instance) {
    using T = typename decltype(instance)::Type;
    launch(rms_norm_again_kernel<T, decltype(instance)::pack>, norm.rows, threads_a_block, 0, stream,
           static_cast<T const*>(as<T>(norm.x)), static_cast<T const*>(as<T>(norm.weight)), as<T>(norm.y), norm.scale,
           norm.width);
  });
}

int64_t norm_backward_blocks(int64_t rows) { return rows < 256 ? rows : 256; }

void rms_norm_backward(void* stream, Norm const& norm, Values dy, float* partial) {
  with_instance(norm.x.element, norm.width, {norm.x.data, norm.weight.data, norm.y.data, dy.data}, [&](auto instance) {
    using T = typename decltype(instance)::Type;
    launch(rms_norm_backward_kernel<T, decltype(instance)::pack>, norm_backward_blocks(norm.rows), threads_a_block,
           norm.width * 4, stream, static_cast<T const*>(as<T>(dy)), static_cast<T const*>(as<T>(norm.x)),
           static_cast<T const*>(as<T>(norm.weight)), static_cast<float const*>(norm.scale), as<T>(norm.y), partial,
           norm.rows, norm.width);
  });
}

void rotate(void* stream, Rotary const& r) {
  with_instance(r.x.element, 1, {}, [&](auto instance) {
    using T = typename decltype(instance)::Type;
    launch(rotate_kernel<T>, r.rows, threads_a_block, 0, stream, as<T>(r.x), r.row_width, r.heads, r.head_dim,
           r.positions, r.cos, r.sin, r.sign);
  });
}

void swiglu(void* stream, Values gate_up, Values y, int64_t rows, int64_t width) {
  with_instance(gate_up.element, width, {gate_up.data, y.data}, [&](auto instance) {
    using T = typename decltype(instance)::Type;
    constexpr int pack = decltype(instance)::pack;
    launch(swiglu_kernel<T, pack>, blocks_for(rows * width / pack), threads_a_block, 0, stream,
           static_cast<T const*>(as<T>(gate_up)), as<T>(y), rows, width);
  });
}

void swiglu_backward(void* stream, Values dy, Values gate_up, int64_t rows, int64_t width) {
  with_instance(gate_up.element, width, {gate_up.data, dy.data}, [&](auto instance) {
    using T = typename decltype(instance)::Type;
    constexpr int pack = decltype(instance)::pack;
    launch(swiglu_backward_kernel<T, pack>, blocks_for(rows * width / pack), threads_a_block, 0, stream,
           static_cast<T const*>(as<T>(dy)), as<T>(gate_up), rows, width);
  });
}

}  // namespace refrain::model::launch
