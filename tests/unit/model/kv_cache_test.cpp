// Attention over a cache: token by token over its pages as on a CPU, and by one call over gathered keys as on a GPU.
#include "small_model.hpp"
#include "written_out_attention.hpp"

#include <refrain/model/kv_cache.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::model;
using model::testing::deviation;

namespace {

constexpr int64_t page_tokens = 4, pages = 12;
HeadShape const shape{.heads = 4, .kv_heads = 2, .head_dim = 8};
constexpr int64_t width = (4 + 2 * 2) * 8;

/// Passes of rows that enter, grow, share a page, and leave pages to others. Pages lie in no order.
std::vector<std::vector<CachedRow>> passes() {
  return {{{{7, 2, 5}, 9, 0, 9}, {{1}, 3, 9, 3}},
          {{{7, 2, 5}, 10, 0, 1}, {{1}, 4, 1, 1}, {{7, 2, 0, 3}, 15, 2, 7}},
          {{{7, 2, 5}, 11, 0, 1}, {{7, 2, 0, 3}, 16, 1, 1}, {{1, 9}, 6, 2, 2}}};
}

}  // namespace

TEST_CASE("one call over gathered keys gives what walking over the pages gives") {
  testing::OneRank model;
  testing::WrittenOut const kernel;
  for (DType const type : {DType::fp32, DType::bf16}) {
    KvCache walked(model.store, type, pages, page_tokens), gathered(model.store, type, pages, page_tokens, &kernel);
    at::manual_seed(4);
    for (auto const& rows : passes()) {
      int64_t tokens = 0;
      for (auto const& row : rows) tokens += row.count;
      walked.begin_pass(rows);
      gathered.begin_pass(rows);
      for (int block = 0; block < 2; ++block) {
        at::Tensor const qkv_TS = at::randn({tokens, width}).to(scalar_type(type));
        at::Tensor const out_TD = walked.attend(block, qkv_TS, shape);
        REQUIRE(out_TD.sizes() == at::IntArrayRef{tokens, shape.heads * shape.head_dim});
        CHECK(deviation(gathered.attend(block, qkv_TS, shape), out_TD) < (type == DType::fp32 ? 1e-6 : 1e-2));
      }
    }
  }
}
