// Attention over a cache: token by token over its pages as on a CPU, and by one call over gathered keys as on a GPU.
#include "small_model.hpp"
#include "written_out_attention.hpp"

#include <refrain/model/kv_cache.hpp>

#include <catch2/catch.hpp>

#include <numeric>

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
        at::Tensor const out_TD = walked.attend(block, qkv_TS, shape, Wanted::all);
        REQUIRE(out_TD.sizes() == at::IntArrayRef{tokens, shape.heads * shape.head_dim});
        double const limit = type == DType::fp32 ? 1e-6 : 1e-2;
        CHECK(deviation(gathered.attend(block, qkv_TS, shape, Wanted::all), out_TD) < limit);
        at::Tensor const last_ND = walked.attend(block, qkv_TS, shape, Wanted::last_of_each_row);
        REQUIRE(last_ND.size(0) == static_cast<int64_t>(rows.size()));
        CHECK(deviation(gathered.attend(block, qkv_TS, shape, Wanted::last_of_each_row), last_ND) < limit);
        for (std::size_t i = 0; i < rows.size(); ++i)
          CHECK(deviation(last_ND[static_cast<int64_t>(i)], out_TD[rows[i].begin + rows[i].count - 1]) < limit);
      }
    }
  }
}

TEST_CASE("a token sees the same of a long row whether its first tokens came with it or before") {
  auto config = testing::small_config();
  config.head_dim = GENERATE(8, 40);
  testing::OneRank model(config);
  testing::WrittenOut const kernel;
  constexpr int64_t length = 621, before = 301;
  std::vector<int32_t> order(static_cast<std::size_t>((length + page_tokens - 1) / page_tokens));
  std::iota(order.rbegin(), order.rend(), 0);
  auto const places = static_cast<int64_t>(order.size());
  HeadShape const heads{.heads = 6, .kv_heads = 2, .head_dim = config.head_dim};
  KvCache walked(model.store, DType::fp32, places, page_tokens), parts(model.store, DType::fp32, places, page_tokens),
      gathered(model.store, DType::fp32, places, page_tokens, &kernel);
  at::Tensor const qkv_TS = at::randn({length, 10 * config.head_dim});
  auto const attend = [&](KvCache& cache, int64_t first, int64_t end) {
    cache.begin_pass({{order, end, 0, end - first}});
    return cache.attend(0, qkv_TS.slice(0, first, end).contiguous(), heads, Wanted::all);
  };
  at::Tensor const out_TD = attend(walked, 0, length);
  CHECK(deviation(out_TD, attend(gathered, 0, length)) < 1e-6);
  CHECK(at::equal(attend(parts, 0, before), out_TD.slice(0, 0, before)));
  CHECK(at::equal(attend(parts, before, length), out_TD.slice(0, before)));
}
