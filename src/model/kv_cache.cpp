#include "packed_attention.hpp"
#include "paged_loops.hpp"

#include <refrain/model/kv_cache.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

namespace refrain::model {
namespace {

// Rows with at most so many new tokens are attended to token by token, over the pages as they lie.
constexpr int64_t few_tokens = 4;

at::Tensor part_of(at::Tensor const& qkv_TS, int64_t first_head, int64_t heads, HeadShape const& shape) {
  return qkv_TS.narrow(1, first_head * shape.head_dim, heads * shape.head_dim).unflatten(1, {heads, shape.head_dim});
}

// [tokens, heads, head_dim] as the attention kernel wants it: [1, heads, tokens, head_dim].
at::Tensor for_kernel(at::Tensor const& x_THD) { return x_THD.transpose(0, 1).unsqueeze(0); }

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
  places_of_.assign(rows_.size(), at::Tensor());
  masks_.assign(rows_.size(), at::Tensor());
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    CachedRow const& row = rows_[i];
    places(row, row.tokens - row.count, of_new);
    if (kernel_ != nullptr) {
      places(row, 0, of_all);
      queries.push_back(queries.back() + static_cast<int32_t>(row.count));
      keys.push_back(keys.back() + static_cast<int32_t>(row.tokens));
      packed.longest_queries = std::max(packed.longest_queries, row.count);
      packed.longest_keys = std::max(packed.longest_keys, row.tokens);
    } else if (row.count > few_tokens && row.count < row.tokens) {
      std::vector<int64_t> all;
      places(row, 0, all);
      places_of_[i] = at::tensor(all, at::kLong);
      // The kernel aligns its causal triangle top left where there are more keys than queries.
      masks_[i] = at::full({row.count, row.tokens}, -std::numeric_limits<double>::infinity(), at::kFloat)
                      .triu(row.tokens - row.count + 1);
    }
  }
  places_T_ = at::tensor(of_new, at::kLong).to(device);
  if (kernel_ == nullptr) return;
  packed.cu_queries = at::tensor(queries, at::kInt).to(device);
  packed.cu_keys = at::tensor(keys, at::kInt).to(device);
  packed.tokens_K = at::tensor(of_all, at::kLong).to(device);
  packed_ = std::make_shared<PackedRows>(std::move(packed));
}

at::Tensor KvCache::attend(int block, at::Tensor const& qkv_TS, HeadShape const& shape) {
  at::Tensor const k_TKD = part_of(qkv_TS, shape.heads, shape.kv_heads, shape),
                   v_TKD = part_of(qkv_TS, shape.heads + shape.kv_heads, shape.kv_heads, shape);
  keys_.select(0, block).index_copy_(0, places_T_, k_TKD.to(keys_.scalar_type()));
  values_.select(0, block).index_copy_(0, places_T_, v_TKD.to(values_.scalar_type()));
  return kernel_ != nullptr ? attend_gathered(block, qkv_TS, shape) : attend_paged(block, qkv_TS, shape);
}

// Gathering costs a copy of what the kernel then reads; libtorch's has no table of pages.
at::Tensor KvCache::attend_gathered(int block, at::Tensor const& qkv_TS, HeadShape const& shape) const {
  at::Tensor const k_KGD = keys_.select(0, block).index_select(0, packed_->tokens_K),
                   v_KGD = values_.select(0, block).index_select(0, packed_->tokens_K);
  return kernel_
      ->forward(part_of(qkv_TS, 0, shape.heads, shape), k_KGD, v_KGD, *packed_,
                1 / std::sqrt(static_cast<double>(shape.head_dim)))
      .out_THD.flatten(1);
}

at::Tensor KvCache::attend_paged(int block, at::Tensor const& qkv_TS, HeadShape const& shape) const {
  at::Tensor const keys = keys_.select(0, block), values = values_.select(0, block);
  at::Tensor const qkv = qkv_TS.to(at::kFloat);
  at::Tensor const out_TD = at::empty({qkv.size(0), shape.heads * shape.head_dim}, qkv.options());
  struct Task {
    loops::PagedRow row;
    int64_t token;
  };
  std::vector<Task> tasks;
  int64_t longest = 0;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    CachedRow const& row = rows_[i];
    if (row.count > few_tokens) {
      at::Tensor const own = qkv.narrow(0, row.begin, row.count);
      at::Tensor const q = for_kernel(part_of(own, 0, shape.heads, shape));
      at::Tensor k = part_of(own, shape.heads, shape.kv_heads, shape),
                 v = part_of(own, shape.heads + shape.kv_heads, shape.kv_heads, shape);
      std::optional<at::Tensor> mask;
      if (masks_[i].defined()) {
        k = keys.index_select(0, places_of_[i]).to(at::kFloat);
        v = values.index_select(0, places_of_[i]).to(at::kFloat);
        mask = masks_[i];
      }
      auto const [out, log_sum_exp] =
          at::_scaled_dot_product_flash_attention_for_cpu(q, for_kernel(k), for_kernel(v), 0., !mask, mask);
      out_TD.narrow(0, row.begin, row.count)
          .view({1, row.count, shape.heads, shape.head_dim})
          .transpose(1, 2)
          .copy_(out);
      continue;
    }
    for (int64_t j = 0; j < row.count; ++j) {
      int64_t const seen = row.tokens - row.count + j + 1;
      tasks.push_back({{row.pages.data(), page_tokens_, seen}, row.begin + j});
      longest = std::max(longest, seen);
    }
  }
  int64_t const group = shape.heads / shape.kv_heads, width = qkv.size(1);
  float const scale = 1.F / std::sqrt(static_cast<float>(shape.head_dim));
  float const* const q = qkv.const_data_ptr<float>();
  float* const out = out_TD.mutable_data_ptr<float>();
  at::parallel_for(0, static_cast<int64_t>(tasks.size()) * shape.kv_heads, 1, [&](int64_t first, int64_t last) {
    std::vector<float> scores(static_cast<std::size_t>(group * longest));
    for (int64_t i = first; i < last; ++i) {
      Task const& task = tasks[static_cast<std::size_t>(i / shape.kv_heads)];
      int64_t const kv_head = i % shape.kv_heads, column = kv_head * group * shape.head_dim;
      loops::attend_pages(q + task.token * width + column, paged(keys), paged(values), task.row, kv_head,
                          shape.kv_heads, group, shape.head_dim, scale, scores.data(),
                          out + task.token * shape.heads * shape.head_dim + column);
    }
  });
  return out_TD.to(qkv_TS.scalar_type());
}

}  // namespace refrain::model
