#include <refrain/train/estimate.hpp>

#include <refrain/base/files.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>

namespace refrain::train {
namespace {

int64_t tree_bytes(std::filesystem::path const& folder) {
  int64_t bytes = 0;
  std::error_code problem;
  for (auto const& entry : std::filesystem::recursive_directory_iterator(folder, problem))
    if (entry.is_regular_file(problem)) bytes += static_cast<int64_t>(entry.file_size(problem));
  return bytes;
}

}  // namespace

void require_free_space(std::filesystem::path const& run_dir, int64_t needed) {
  int64_t const here = tree_bytes(run_dir), free = free_bytes(run_dir);
  if (needed <= free + here) return;
  throw Error("checkpoints of this run take up to " + format_bytes(static_cast<double>(needed)) + ", and " +
                  format_bytes(static_cast<double>(free + here)) + " are free",
              "make room, lower --keep-checkpoints, or put --run-dir on another file system", {.file = run_dir});
}

double product_rate(at::Device device) {
  bool const gpu = device.is_cuda();
  int64_t const size = gpu ? 8192 : 1024;
  auto const options = at::TensorOptions(device).dtype(gpu ? at::kBFloat16 : at::kFloat);
  at::Tensor const a = at::ones({size, size}, options), b = at::ones({size, size}, options);
  double best = 1e9;
  for (int i = 0; i < 4; ++i) {
    auto const begin = std::chrono::steady_clock::now();
    at::mm(a, b)[0][0].item();  // waits for a GPU
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  auto const edge = static_cast<double>(size);
  return 2 * edge * edge * edge / std::max(best, 1e-9);
}

}  // namespace refrain::train
