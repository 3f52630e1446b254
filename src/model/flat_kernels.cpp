#include "device_kernels.hpp"
#include "flat_loops.hpp"
#include "vector_loops.hpp"

#include <refrain/model/kernels.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace refrain::model::kernels {
namespace {

// Vectors are worked on a chunk at a time; sums are then the same at any number of threads.
constexpr int64_t chunk_elements = 1 << 16;

bool is_bf16(at::Tensor const& tensor) { return tensor.scalar_type() == at::kBFloat16; }

// body(chunk, begin, end) for the chunks of `count` elements.
template <class Body>
void over_chunks(int64_t count, Body const& body) {
  at::parallel_for(0, (count + chunk_elements - 1) / chunk_elements, 1, [&](int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk)
      body(chunk, chunk * chunk_elements, std::min(count, (chunk + 1) * chunk_elements));
  });
}

}  // namespace

void adamw(AdamBuffers const& buffers, AdamSettings const& settings) {
  if (buffers.master.is_cuda()) return device_kernels().adamw(buffers, settings);
  bool const writes_bf16 = buffers.weights.defined() && is_bf16(buffers.weights);
  loops::AdamVectors const vectors{
      .p = buffers.master.mutable_data_ptr<float>(),
      .m = buffers.exp_avg.mutable_data_ptr<float>(),
      .v = buffers.exp_avg_sq.mutable_data_ptr<float>(),
      .g = buffers.grad.const_data_ptr(),
      .bf16_grads = is_bf16(buffers.grad),
      .w = writes_bf16 ? static_cast<uint16_t*>(buffers.weights.mutable_data_ptr()) : nullptr,
  };
  at::parallel_for(0, buffers.master.numel(), chunk_elements,
                   [&](int64_t begin, int64_t end) { loops::adamw(vectors, begin, end, settings); });
}

at::Tensor sum_of_squares(at::Tensor const& flat) {
  if (flat.is_cuda()) return device_kernels().sum_of_squares(flat);
  std::vector<double> partial(static_cast<std::size_t>((flat.numel() + chunk_elements - 1) / chunk_elements));
  over_chunks(flat.numel(), [&](int64_t chunk, int64_t begin, int64_t end) {
    partial[static_cast<std::size_t>(chunk)] = loops::sum_of_squares(flat.const_data_ptr(), is_bf16(flat), begin, end);
  });
  double sum = 0;
  for (double const value : partial) sum += value;
  return at::scalar_tensor(sum, at::kDouble);
}

bool all_finite(at::Tensor const& tensor) {
  if (tensor.is_cuda()) return at::isfinite(tensor).all().item<bool>();
  at::Tensor const flat = tensor.view({-1});
  std::atomic<bool> finite{true};
  over_chunks(flat.numel(), [&](int64_t, int64_t begin, int64_t end) {
    at::Tensor const part = flat.narrow(0, begin, end - begin).to(at::kFloat);
    if (!loops::finite_range(part.const_data_ptr<float>(), part.numel())) finite = false;
  });
  return finite;
}

}  // namespace refrain::model::kernels
