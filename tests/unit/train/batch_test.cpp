#include <refrain/train/batch.hpp>

#include <ATen/ATen.h>
#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::train;

namespace {

/// Pair 0: prompt 10 11 12, chosen 20 21, rejected 30. Pair 1: prompt 13, chosen 22, rejected 31 32.
h5::Pairs two_pairs() {
  h5::Pairs pairs;
  pairs.tokens = {10, 11, 12, 20, 21, 30, 13, 22, 31, 32};
  pairs.prompt_begin = {0, 6};
  pairs.chosen_begin = {3, 7};
  pairs.rejected_begin = {5, 8};
  pairs.prompt_length = {3, 1};
  pairs.chosen_length = {2, 1};
  pairs.rejected_length = {1, 2};
  pairs.row_id = {0, 1};
  return pairs;
}

std::vector<int64_t> values(at::Tensor const& tensor) {
  return {tensor.const_data_ptr<int64_t>(), tensor.const_data_ptr<int64_t>() + tensor.numel()};
}

using Numbers = std::vector<int64_t>;

}  // namespace

TEST_CASE("answers share their prompt, which predicts the first token of both") {
  auto const batch = pack(two_pairs(), {0, 1}, Answers::both, 1);
  REQUIRE(values(batch.tokens_T) == Numbers{10, 11, 12, 20, 13, 31});
  REQUIRE(values(batch.positions_T) == Numbers{0, 1, 2, 3, 0, 1});
  REQUIRE(values(batch.head_rows_N) == Numbers{2, 3, 2, 4, 4, 5});
  REQUIRE(values(batch.targets_N) == Numbers{20, 21, 30, 22, 31, 32});
  REQUIRE(values(batch.answer_N) == Numbers{0, 0, 1, 2, 3, 3});
  REQUIRE(batch.answers == 4);
  // Pair 0's rejected answer is one token, which is only predicted.
  REQUIRE(batch.segments.size() == 3);
  REQUIRE(batch.segments[2].begin == 5);
  REQUIRE(batch.segments[2].length == 1);
  REQUIRE(batch.segments[2].prefix_begin == 4);
  REQUIRE(batch.segments[2].prefix_length == 1);
}

TEST_CASE("answers stand one behind the other, and rows point at what comes next") {
  auto const batch = pack(two_pairs(), {0, 1}, Answers::both_apart, 1);
  REQUIRE(values(batch.tokens_T) == Numbers{10, 11, 12, 20, 10, 11, 12, 13, 13, 31});
  REQUIRE(values(batch.positions_T) == Numbers{0, 1, 2, 3, 0, 1, 2, 0, 0, 1});
  REQUIRE(values(batch.head_rows_N) == Numbers{2, 3, 6, 7, 8, 9});
  REQUIRE(values(batch.targets_N) == Numbers{20, 21, 30, 22, 31, 32});
  REQUIRE(values(batch.answer_N) == Numbers{0, 0, 1, 2, 3, 3});
  REQUIRE(batch.answers == 4);
  REQUIRE(batch.segments.size() == 4);
  REQUIRE(batch.segments[1].begin == 4);
  REQUIRE(batch.segments[1].length == 3);
}

TEST_CASE("a dummy segment rounds the tokens up to the tensor degree, and no row reads it") {
  auto const batch = pack(two_pairs(), {0, 1}, Answers::both_apart, 4);
  REQUIRE(batch.tokens_T.numel() == 12);
  REQUIRE(batch.answers == 4);
  REQUIRE(batch.segments.size() == 5);
  REQUIRE(batch.segments[4].begin == 10);
  REQUIRE(batch.segments[4].length == 2);
  REQUIRE(batch.head_rows_N.max().item<int64_t>() == 9);
}

TEST_CASE("only chosen answers, and an empty micro-batch") {
  auto const chosen = pack(two_pairs(), {1, 0}, Answers::chosen, 1);
  REQUIRE(values(chosen.tokens_T) == Numbers{13, 10, 11, 12, 20});
  REQUIRE(values(chosen.answer_N) == Numbers{0, 1, 1});
  auto const empty = pack(two_pairs(), {}, Answers::both, 2);
  REQUIRE(empty.answers == 0);
  REQUIRE(empty.tokens_T.numel() == 0);
}
