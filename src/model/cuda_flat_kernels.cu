// Loops over logits, and over the optimizer's flat vectors.
#include "cuda_blocks.cuh"

namespace refrain::model::launch {
namespace {

/// The highest value over the block's threads and its lowest place.
struct Highest {
  float value;
  int64_t place;
};
__device__ inline void take_higher(Highest& best, float value, int64_t place) {
  if (value > best.value || (value == best.value && place < best.place)) best = {value, place};
}
__device__ inline Highest block_highest(Highest best) {
  __shared__ float values[32];
  __shared__ int64_t places[32];
  for (int step = warp / 2; step > 0; step /= 2) {
    float const value = __shfl_xor_sync(0xffffffffu, best.value, step);
    long long const place = __shfl_xor_sync(0xffffffffu, static_cast<long long>(best.place), step);
    take_higher(best, value, place);
  }
  int const mine = static_cast<int>(threadIdx.x) / warp, warps = static_cast<int>(blockDim.x) / warp;
  __syncthreads();
  if (threadIdx.x % warp == 0) {
    values[mine] = best.value;
    places[mine] = best.place;
  }
  __syncthreads();
  for (int i = 0; i < warps; ++i) take_higher(best, values[i], places[i]);
  return best;
}

// --- Softmax over a slice of the vocabulary: a block a row
// --------------------------------------------------------------

constexpr float lowest_logit = -1e30F;  // as the CPU's loops have it: the share of an empty slice is 0

__global__ void row_stats_kernel(float const* logits, int64_t vocabulary, int64_t const* targets, RowOutputs out) {
  int64_t const row = blockIdx.x;
  float const* const values = logits + row * vocabulary;
  Highest best{lowest_logit, vocabulary};
  for (int64_t v = threadIdx.x; v < vocabulary; v += blockDim.x) take_higher(best, values[v], v);
  best = block_highest(best);
  float exp_sum = 0, dot = 0, plain = 0;
  for (int64_t v = threadIdx.x; v < vocabulary; v += blockDim.x) {
    float const below = values[v] - best.value, power = expf(below);
    exp_sum += power;
    dot += power * below;
    plain += values[v];
  }
  double const all_exp = block_sum(static_cast<double>(exp_sum)), all_dot = block_sum(static_cast<double>(dot)),
               all_plain = block_sum(static_cast<double>(plain));
  if (threadIdx.x != 0) return;
  int64_t const target = targets[row];
  out.max[row] = best.value;
  out.sum_exp[row] = static_cast<float>(all_exp);
  out.sum_dot[row] = static_cast<float>(all_dot);
  out.sum[row] = static_cast<float>(all_plain);
  out.argmax[row] = static_cast<float>(best.place);
  out.target[row] = target >= 0 && target < vocabulary ? values[target] : 0.F;
}

__global__ void logits_to_gradient_kernel(float* logits, int64_t vocabulary, int64_t const* targets,
                                          float const* log_sum_exp, float const* dlogp) {
  int64_t const row = blockIdx.x, target = targets[row];
  float* const values = logits + row * vocabulary;
  float const slope = dlogp[row], whole = log_sum_exp[row];
  for (int64_t v = threadIdx.x; v < vocabulary; v += blockDim.x)
    values[v] = (v == target ? slope : 0.F) - slope * expf(values[v] - whole);
}

// --- Flat vectors
// --------------------------------------------------------------------------------------------------------

/// `p`, `m` and `v` are read and written once; the rounded weights go out with them.
template <class G, class W>
__global__ void adamw_kernel(Adam a) {
  G const* const grads = static_cast<G const*>(a.grad.data);
  W* const weights = static_cast<W*>(a.weights.data);
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < a.count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    float const grad = load(grads[i]) * a.grad_scale;
    float const mean = a.m[i] + a.beta1_rest * (grad - a.m[i]);
    float const square = a.beta2 * a.v[i] + a.beta2_rest * grad * grad;
    a.m[i] = mean;
    a.v[i] = square;
    float const p = a.p[i] * a.decay - a.step_size * mean / (sqrtf(square) / a.correction2 + a.eps);
    a.p[i] = p;
    if (weights != nullptr) store(weights[i], p);
  }
}

template <class T>
__global__ void sum_of_squares_kernel(T const* values, int64_t count, double* partial) {
  double sum = 0;
  for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    double const value = load(values[i]);
    sum += value * value;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

}  // namespace

void row_stats(void* stream, float const* logits, int64_t rows, int64_t vocabulary, int64_t const* targets,
               RowOutputs const& out) {
  launch(row_stats_kernel, rows, 2 * threads_a_block, 0, stream, logits, vocabulary, targets, RowOutputs(out));
}

void logits_to_gradient(void* stream, float* logits, int64_t rows, int64_t vocabulary, int64_t const* targets,
                        float const* log_sum_exp, float const* dlogp) {
  launch(logits_to_gradient_kernel, rows, 2 * threads_a_block, 0, stream, logits, vocabulary, targets, log_sum_exp,
         dlogp);
}

void adamw(void* stream, Adam const& adam) {
  auto const start = [&](auto* kernel) {
    launch(kernel, blocks_for(adam.count), threads_a_block, 0, stream, Adam(adam));
  };
  bool const wide_grads = adam.grad.element == Element::fp32;
  if (adam.weights.element == Element::bf16)
    wide_grads ? start(adamw_kernel<float, Bf16>) : start(adamw_kernel<Bf16, Bf16>);
  else
    wide_grads ? start(adamw_kernel<float, float>) : start(adamw_kernel<Bf16, float>);
}

int64_t square_blocks(int64_t count) { return count < (1 << 20) ? blocks_for(count) : 1024; }

void sum_of_squares(void* stream, Values values, int64_t count, double* partial) {
  with_instance(values.element, 1, {}, [&](auto instance) {
    using T = typename decltype(instance)::Type;
    launch(sum_of_squares_kernel<T>, square_blocks(count), threads_a_block, 0, stream,
           static_cast<T const*>(as<T>(values)), count, partial);
  });
}

}  // namespace refrain::model::launch
