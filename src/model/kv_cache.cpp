#include "packed_attention.hpp"
#include "prefill_loops.hpp"

#include <refrain/model/kv_cache.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>

namespace refrain::model {
namespace {

// So few new tokens are attended to one by one, over the pages as they lie.
constexpr int64_t few_tokens = 4;
// New tokens of a row for which keys and values are laid out at once: more, and a long row keeps few threads busy.
constexpr int64_t tokens_together = 256;

at::Tensor part_of(at::Tensor const& qkv_TS, int64_t first_head, int64_t heads, HeadShape const& shape) {
  return qkv_TS.narrow(1, first_head * shape.head_dim, heads * shape.head_dim).unflatten(1, {heads, shape.head_dim});
}

loops::PagedValues paged(at::Tensor const& values) {
  return {values.const_data_ptr(), values.scalar_type() == at::kBFloat16};
}

}  // namespace

KvCache::KvCache(ParameterStore const& store, DType values, int64_t pages, int64_t page_tokens)
    : KvCache(store, values, pages, page_tokens, store.backend().device().is_cuda() ? &flash_attention() : nullptr) {}

KvCache::KvCache(ParameterStore const& store, DType values, int64_t pages, int64_t page_tokens,
                 VarlenAttention const* kernel)
    : page_tokens_(page_tokens), kernel_(kernel) {
  auto const& config = store.config();
  auto const options = at::TensorOptions(store.backend().device()).dtype(scalar_type(values));
  // Not cleared: memory that no row came to is none.
  keys_ = at::empty({config.num_hidden_layers, pages * page_tokens,
                     config.num_key_value_heads / store.backend().tensor().size(), config.head_dim},
                    options);
  values_ = at::empty_like(keys_);
}

int64_t KvCache::page_bytes(checkpoint::ModelConfig const& config, int tensor_degree, DType values,
                            int64_t page_tokens) {
  return 2 * config.num_hidden_layers * page_tokens * (config.num_key_value_heads / tensor_degree) * config.head_dim *
         static_cast<int64_t>(size_of(values));
}

void KvCache::begin_pass(std::vector<CachedRow> rows) {
  rows_ = std::move(rows);
  auto const places = [&](CachedRow const& row, int64_t first, std::vector<int64_t>& out) {
    for (int64_t t = first; t < row.tokens; ++t)
      out.push_back(row.pages[static_cast<std::size_t>(t / page_tokens_)] * page_tokens_ + t % page_tokens_);
  };
  auto const device = keys_.device();
  std::vector<int64_t> of_new, of_all;
  std::vector<int32_t> queries{0}, keys{0};
  PackedRows packed;
  for (CachedRow const& row : rows_) {
    places(row, row.tokens - row.count, of_new);
    if (kernel_ != nullptr) {
      places(row, 0, of_all);
      queries.push_back(queries.back() + static_cast<int32_t>(row.count));
      keys.push_back(keys.back() + static_cast<int32_t>(row.tokens));
      packed.longest_queries = std::max(packed.longest_queries, row.count);
      packed.longest_keys = std::max(packed.longest_keys, row.tokens);
    }
  }
  places_T_ = at::tensor(of_new, at::kLong).to(device);
  if (kernel_ == nullptr) return;
  packed.cu_queries = at::tensor(queries, at::kInt).to(device);
  packed.cu_keys = at::tensor(keys, at::kInt).to(device);
  packed.tokens_K = at::tensor(of_all, at::kLong).to(device);
  packed_ = std::make_shared<PackedRows>(std::move(packed));
}

at::Tensor KvCache::attend(int block, at::Tensor const& qkv_TS, HeadShape const& shape, Wanted wanted) {
  at::Tensor const k_TKD = part_of(qkv_TS, shape.heads, shape.kv_heads, shape),
                   v_TKD = part_of(qkv_TS, shape.heads + shape.kv_heads, shape.kv_heads, shape);
  keys_.select(0, block).index_copy_(0, places_T_, k_TKD.to(keys_.scalar_type()));
  values_.select(0, block).index_copy_(0, places_T_, v_TKD.to(values_.scalar_type()));
  return kernel_ != nullptr ? attend_gathered(block, qkv_TS, shape, wanted)
                            : attend_paged(block, qkv_TS, shape, wanted);
}

// Gathering costs a copy of what the kernel then reads; libtorch's has no table of pages.
at::Tensor KvCache::attend_gathered(int block, at::Tensor const& qkv_TS, HeadShape const& shape, Wanted wanted) const {
  at::Tensor const k_KGD = keys_.select(0, block).index_select(0, packed_->tokens_K),
                   v_KGD = values_.select(0, block).index_select(0, packed_->tokens_K);
  at::Tensor const out_TD = kernel_
                                ->forward(part_of(qkv_TS, 0, shape.heads, shape), k_KGD, v_KGD, *packed_,
                                          1 / std::sqrt(static_cast<double>(shape.head_dim)))
                                .out_THD.flatten(1);
  return wanted == Wanted::all ? out_TD : out_TD.index_select(0, packed_->cu_queries.slice(0, 1).sub(1));
}

at::Tensor KvCache::attend_paged(int block, at::Tensor const& qkv_TS, HeadShape const& shape, Wanted wanted) const {
  at::Tensor const keys = keys_.select(0, block), values = values_.select(0, block);
  at::Tensor const qkv = qkv_TS.to(at::kFloat);
  // New tokens of a row that one thread takes together, for one KV head.
  struct Task {
    loops::PagedRow row;  // up to the last of them
    int64_t first, count, out;
  };
  std::vector<Task> tasks;
  int64_t outs = 0;
  for (CachedRow const& row : rows_)
    for (int64_t done = wanted == Wanted::all ? 0 : row.count - 1; done < row.count; done += tokens_together) {
      int64_t const count = std::min(tokens_together, row.count - done);
      tasks.push_back(
          {{row.pages.data(), page_tokens_, row.tokens - row.count + done + count}, row.begin + done, count, outs});
      outs += count;
    }
  int64_t const group = shape.heads / shape.kv_heads, width = qkv.size(1), out_width = shape.heads * shape.head_dim;
  at::Tensor const out_TD = at::empty({outs, out_width}, qkv.options());
  float const scale = 1.F / std::sqrt(static_cast<float>(shape.head_dim));
  float const* const q = qkv.const_data_ptr<float>();
  float* const out = out_TD.mutable_data_ptr<float>();
  // Tasks differ in length: each thread takes the next one.
  auto const count = static_cast<int64_t>(tasks.size()) * shape.kv_heads;
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
    std::vector<float> memory;
    for (int64_t i = next++; i < count; i = next++) {
      Task const& task = tasks[static_cast<std::size_t>(i / shape.kv_heads)];
      int64_t const kv_head = i % shape.kv_heads, column = kv_head * group * shape.head_dim;
      loops::Queries const queries{q + task.first * width + column, width, out + task.out * out_width + column,
                                   out_width, task.count};
      auto const attend = task.count > few_tokens ? loops::attend_prefill : loops::attend_pages;
      attend(queries, paged(keys), paged(values), task.row, {kv_head, shape.kv_heads, group, shape.head_dim, scale},
             memory);
    }
  });
  return out_TD.to(qkv_TS.scalar_type());
}

}  // namespace refrain::model
