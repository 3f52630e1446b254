// Attention as a GPU runs it, one call over sequences of different lengths, against the CPU's attention; the kernel in
// the middle is written out.
#include "small_model.hpp"
#include "written_out_attention.hpp"

#include <refrain/model/autograd.hpp>
#include <refrain/model/kernels.hpp>

#include <catch2/catch.hpp>

#include <set>

using namespace refrain;
using namespace refrain::model;
using model::testing::deviation;
using model::testing::WrittenOut;

namespace {

PackedBatch batch_of(std::vector<Segment> segments) {
  PackedBatch batch;
  batch.segments = std::move(segments);
  std::vector<int64_t> positions;
  for (Segment const& segment : batch.segments)
    for (int32_t i = 0; i < segment.length; ++i) positions.push_back(segment.prefix_length + i);
  batch.positions_T = at::tensor(positions, at::kLong);
  batch.tokens_T = at::zeros({static_cast<int64_t>(positions.size())}, at::kLong);
  return batch;
}

/// Prompt and chosen answer, then the rejected one, for three pairs: one without a prompt to share, and one whose
/// rejected answer is empty; a dummy segment at the end.
std::vector<Segment> shared_prompts() {
  return {{0, 9, 0, 0}, {9, 4, 0, 5}, {13, 3, 0, 0}, {16, 6, 0, 0}, {22, 0, 16, 2}, {22, 1, 16, 6}, {23, 2, 0, 0}};
}
std::vector<Segment> plain() { return {{0, 5, 0, 0}, {5, 1, 0, 0}, {6, 7, 0, 0}}; }

/// Tokens that each token sees, by what ops.hpp says of segments.
std::vector<std::set<int64_t>> seen_by_segments(PackedBatch const& batch) {
  std::vector<std::set<int64_t>> seen;
  for (Segment const& segment : batch.segments)
    for (int32_t i = 0; i < segment.length; ++i) {
      seen.emplace_back();
      for (int32_t p = 0; p < segment.prefix_length; ++p) seen.back().insert(segment.prefix_begin + p);
      for (int32_t j = 0; j <= i; ++j) seen.back().insert(segment.begin + j);
    }
  return seen;
}

/// The same by what a kernel makes of the index, which gives keys more than once.
std::vector<std::multiset<int64_t>> seen_by_kernel(PackedRows const& rows) {
  std::vector<std::multiset<int64_t>> seen;
  auto const *queries = rows.cu_queries.const_data_ptr<int32_t>(), *keys = rows.cu_keys.const_data_ptr<int32_t>();
  for (int64_t s = 0; s + 1 < rows.cu_queries.size(0); ++s) {
    int64_t const q = queries[s + 1] - queries[s], k = keys[s + 1] - keys[s];
    CHECK(q <= rows.longest_queries);
    CHECK(k <= rows.longest_keys);
    for (int64_t i = 0; i < q; ++i) {
      seen.emplace_back();
      for (int64_t j = 0; j <= i + k - q; ++j)
        seen.back().insert(rows.repeats() ? rows.tokens_K[keys[s] + j].item<int64_t>() : keys[s] + j);
    }
  }
  return seen;
}

}  // namespace

TEST_CASE("the packed index lets every query see what its segment says, once") {
  for (auto const& segments : {shared_prompts(), plain()}) {
    PackedBatch const batch = batch_of(segments);
    PackedRows const rows = PackedRows::of(batch, at::kCPU);
    auto const wanted = seen_by_segments(batch);
    auto const seen = seen_by_kernel(rows);
    REQUIRE(seen.size() == wanted.size());
    for (std::size_t t = 0; t < seen.size(); ++t) {
      CAPTURE(t);
      CHECK(seen[t] == std::multiset<int64_t>(wanted[t].begin(), wanted[t].end()));
    }
  }
}

TEST_CASE("the packed index names each key once, as its token's own or as a repetition") {
  PackedBatch const batch = batch_of(shared_prompts());
  PackedRows const rows = PackedRows::of(batch, at::kCPU);
  REQUIRE(rows.repeats());
  CHECK(rows.tokens_K.index_select(0, rows.own_T).equal(at::arange(batch.tokens_T.size(0))));
  CHECK(rows.tokens_K.index_select(0, rows.prefix_keys_P).equal(rows.prefix_tokens_P));
  CHECK(std::get<0>(at::cat({rows.own_T, rows.prefix_keys_P}).sort()).equal(at::arange(rows.tokens_K.size(0))));
  CHECK_FALSE(PackedRows::of(batch_of(plain()), at::kCPU).repeats());
}

TEST_CASE("a batch whose segments leave a gap has no packed index") {
  CHECK_THROWS(PackedRows::of(batch_of({{0, 3, 0, 0}, {4, 2, 0, 0}}), at::kCPU));
  PackedBatch batch = batch_of({{0, 3, 0, 0}});
  batch.tokens_T = at::zeros({4}, at::kLong);
  CHECK_THROWS(PackedRows::of(batch, at::kCPU));
}

TEST_CASE("packed attention and its gradient are the CPU's") {
  at::manual_seed(5);
  HeadShape const shape{4, 2, 8};
  auto const rotary = RotaryTable::make(at::tensor({1., .5, .2, .1}, at::kFloat), 32);
  WrittenOut const kernel;
  for (auto const& segments : {shared_prompts(), plain()}) {
    PackedBatch const batch = batch_of(segments);
    int64_t const tokens = batch.tokens_T.size(0);
    at::Tensor const qkv = at::randn({tokens, 8 * 8}), dy = at::randn({tokens, 4 * 8});

    at::Tensor const leaf = qkv.clone().requires_grad_(true);
    at::Tensor const y = attention(leaf + 0, shape, batch, rotary);
    at::Tensor const dqkv = backpropagate(y, leaf, dy);

    at::Tensor const rotated = qkv.clone();
    auto const turn = [&](at::Tensor const& x, kernels::Rotation direction) {
      kernels::rotate(x, 6, 8, batch.positions_T, rotary.cos_PR, rotary.sin_PR, direction);
    };
    turn(rotated, kernels::Rotation::forward);
    auto const rows = std::make_shared<PackedRows>(PackedRows::of(batch, at::kCPU));
    Attended const attended = attend_packed(rotated, shape, rows, kernel);
    at::Tensor const slopes = attended.backward(dy);
    turn(slopes, kernels::Rotation::backward);
    CHECK(deviation(attended.out_TD, y.detach()) < 2e-6);
    CHECK(deviation(slopes, dqkv) < 2e-6);
  }
}

TEST_CASE("flash attention refuses what its kernels cannot do, in one line") {
  auto const rows = std::make_shared<PackedRows>(PackedRows::of(batch_of(plain()), at::kCPU));
  auto const run = [&](at::ScalarType type, int64_t head_dim) {
    HeadShape const shape{2, 1, head_dim};
    attend_packed(at::zeros({13, 4 * head_dim}, type), shape, rows, flash_attention());
  };
  CHECK_THROWS_WITH(run(at::kFloat, 8), Catch::Contains("--dtype bf16"));
  CHECK_THROWS_WITH(run(at::kBFloat16, 12), Catch::Contains("have 12"));
}
