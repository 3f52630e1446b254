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

int64_t parameter_count(model::ParameterStore const& store) {
  int64_t count = 0;
  for (auto const& spec : store.specs()) count += element_count(spec.info.shape);
  return count;
}

int64_t trained_count(model::ParameterStore const& store) {
  int64_t count = 0;
  for (int unit = store.layout().first_trained(); unit < store.units(); ++unit)
    for (auto const& spec : store.layout().specs(unit)) count += element_count(spec.info.shape);
  return count;
}

int64_t rank_memory(model::ParameterStore const& store, int64_t tokens, int64_t logits_chunk_rows) {
  auto const& config = store.config();
  int64_t const tensor = store.backend().tensor().size();
  model::ParameterLayout const& layout = store.layout();
  auto const weight_width = static_cast<int64_t>(size_of(store.options().weights));
  auto const grad_width = static_cast<int64_t>(size_of(store.options().grads));
  int64_t const elements = layout.total_elements(), trained = layout.trained_elements(),
                data = layout.place().data_size;
  auto const shared = [&](model::Zero part, int64_t all) { return store.options().zero >= part ? all / data : all; };
  int64_t bytes = shared(model::Zero::parameters, elements) * weight_width +
                  shared(model::Zero::gradients, trained) * grad_width +
                  shared(model::Zero::optimizer, trained) * (weight_width == 4 ? 8 : 12);
  int64_t const largest = layout.largest_elements(1),
                most_trained = layout.largest_elements(std::max(1, layout.first_trained()));
  if (data > 1)
    bytes += ((layout.trained(0) ? layout.elements(0) : 0) + store.options().grad_buffers * most_trained) * grad_width;
  if (data > 1 && store.options().zero == model::Zero::parameters) bytes += 2 * largest * weight_width;
  int64_t const width = weight_width;

  // A token's saved values in a block: its input and the sum in the middle, q|k|v, the attention's output, gate|up.
  int64_t const heads = (2 * config.num_attention_heads + 2 * config.num_key_value_heads) * config.head_dim;
  int64_t const per_block = 2 * config.hidden_size + (heads + 2 * config.intermediate_size) / tensor;
  // A block's backward holds the gradients of its widest values, and inputs made again, on top.
  int64_t const passing = 3 * config.hidden_size + 3 * config.intermediate_size / tensor;
  bytes += tokens * (config.num_hidden_layers * per_block + passing) * width;
  bytes += logits_chunk_rows * ((config.vocab_size + tensor - 1) / tensor) * 4;
  return bytes;
}

int64_t run_disk(model::ParameterStore const& store, int64_t keep, DType final_dtype) {
  int64_t const parameters = trained_count(store);
  return (keep + 1) * parameters * 12 + parameters * static_cast<int64_t>(size_of(final_dtype));
}

void require_free_space(std::filesystem::path const& run_dir, int64_t needed) {
  int64_t const here = tree_bytes(run_dir), free = free_bytes(run_dir);
  if (needed <= free + here) return;
  throw Error("checkpoints of this run take up to " + format_bytes(static_cast<double>(needed)) + ", and " +
                  format_bytes(static_cast<double>(free + here)) + " are free",
              "make room, lower --keep-checkpoints, or put --run-dir on another file system", {.file = run_dir});
}

double step_flops(model::ParameterStore const& store, double tokens, double scored) {
  auto const& config = store.config();
  auto const matrix = static_cast<double>(config.vocab_size * config.hidden_size);
  double const tables = config.tie_word_embeddings ? matrix : 2 * matrix;
  auto const trained = static_cast<double>(trained_count(store)), all = static_cast<double>(parameter_count(store));
  bool const frozen = store.layout().first_trained() > 0;
  double const blocks = frozen ? 6 * trained + 4 * (all - trained - tables) : 6 * (all - tables);
  return blocks * tokens + (frozen ? 4 : 6) * matrix * scored;
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
