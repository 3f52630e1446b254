#pragma once

#include <refrain/model/decoder.hpp>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace refrain::model {

/// One row of a forward pass over a cache: its new tokens are [begin, begin + count) of the pass, and the last `count`
/// of the row's `tokens`, of which token i lies in page pages[i / page_tokens].
struct CachedRow {
  std::vector<int32_t> pages;
  int64_t tokens = 0;
  int64_t begin = 0, count = 0;
};

class VarlenAttention;
struct PackedRows;

/// Memory for the keys and values of rows under way, in pages of equal size. Which page belongs to whom is the
/// caller's business.
class KvCache : public CachedAttention {
public:
  /// `values`: fp32 or bf16; bf16 on a GPU.
  KvCache(ParameterStore const& store, DType values, int64_t pages, int64_t page_tokens);
  /// The same with one call of `kernel` for all rows of a pass, as on a GPU.
  KvCache(ParameterStore const& store, DType values, int64_t pages, int64_t page_tokens, VarlenAttention const* kernel);

  /// Memory of one page over all blocks of a tensor rank.
  static int64_t page_bytes(checkpoint::ModelConfig const& config, int tensor_degree, DType values,
                            int64_t page_tokens);

  /// Before each pass: the rows of its tokens, which follow one another and are all of them.
  void begin_pass(std::vector<CachedRow> rows);

  at::Tensor attend(int block, at::Tensor const& qkv_TS, HeadShape const& shape, Wanted wanted) override;

private:
  at::Tensor attend_gathered(int block, at::Tensor const& qkv_TS, HeadShape const& shape, Wanted wanted) const;
  at::Tensor attend_paged(int block, at::Tensor const& qkv_TS, HeadShape const& shape, Wanted wanted) const;

  int64_t page_tokens_;
  VarlenAttention const* kernel_;  // none on a CPU
  at::Tensor keys_, values_;       // [blocks, places, kv_heads, head_dim]
  std::vector<CachedRow> rows_;
  at::Tensor places_T_;  // int64: of the new tokens
  // With a kernel: the rows as it sees them; a key's token is its place in the cache.
  std::shared_ptr<PackedRows const> packed_;
};

}  // namespace refrain::model
