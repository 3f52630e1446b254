#include <refrain/train/batch.hpp>

#include <ATen/ATen.h>

#include <span>

namespace refrain::train {
namespace {

/// Columns of a packed batch while it grows.
struct Columns {
  std::vector<int64_t> tokens, positions, head_rows, targets, answer;
  std::vector<model::Segment> segments;
};

void append_answer(Columns& columns, std::span<int32_t const> prompt, std::span<int32_t const> answer) {
  auto const begin = static_cast<int32_t>(columns.tokens.size());
  auto const number = static_cast<int64_t>(columns.segments.size());
  auto const total = static_cast<int32_t>(prompt.size() + answer.size());
  auto const token_at = [&](std::size_t i) -> int64_t {
    return i < prompt.size() ? prompt[i] : answer[i - prompt.size()];
  };
  for (int32_t i = 0; i + 1 < total; ++i) {
    columns.tokens.push_back(token_at(static_cast<std::size_t>(i)));
    columns.positions.push_back(i);
    if (static_cast<std::size_t>(i) + 1 >= prompt.size()) {
      columns.head_rows.push_back(begin + i);
      columns.targets.push_back(token_at(static_cast<std::size_t>(i) + 1));
      columns.answer.push_back(number);
    }
  }
  columns.segments.push_back({.begin = begin,
                              .length = static_cast<int32_t>(columns.tokens.size()) - begin,
                              .prefix_begin = 0,
                              .prefix_length = 0});
}

std::span<int32_t const> part(h5::Pairs const& pairs, std::vector<int64_t> const& begin,
                              std::vector<int32_t> const& length, std::size_t i) {
  return std::span(pairs.tokens).subspan(static_cast<std::size_t>(begin[i]), static_cast<std::size_t>(length[i]));
}

}  // namespace

PairLengths lengths_of(h5::Pairs const& pairs) {
  return {pairs.prompt_length, pairs.chosen_length, pairs.rejected_length};
}

model::PackedBatch pack(h5::Pairs const& pairs, MicroBatch const& micro_batch, Answers answers, int tensor_size) {
  Columns columns;
  for (int64_t const pair : micro_batch) {
    auto const i = static_cast<std::size_t>(pair);
    auto const prompt = part(pairs, pairs.prompt_begin, pairs.prompt_length, i);
    append_answer(columns, prompt, part(pairs, pairs.chosen_begin, pairs.chosen_length, i));
    if (answers == Answers::both)
      append_answer(columns, prompt, part(pairs, pairs.rejected_begin, pairs.rejected_length, i));
  }
  model::PackedBatch batch;
  batch.answers = static_cast<int64_t>(columns.segments.size());

  auto const remainder = columns.tokens.size() % static_cast<std::size_t>(tensor_size);
  if (remainder != 0) {
    auto const begin = static_cast<int32_t>(columns.tokens.size());
    auto const length = static_cast<int32_t>(static_cast<std::size_t>(tensor_size) - remainder);
    for (int32_t i = 0; i < length; ++i) {
      columns.tokens.push_back(0);
      columns.positions.push_back(i);
    }
    columns.segments.push_back({.begin = begin, .length = length, .prefix_begin = 0, .prefix_length = 0});
  }
  batch.tokens_T = at::tensor(columns.tokens, at::kLong);
  batch.positions_T = at::tensor(columns.positions, at::kLong);
  batch.head_rows_N = at::tensor(columns.head_rows, at::kLong);
  batch.targets_N = at::tensor(columns.targets, at::kLong);
  batch.answer_N = at::tensor(columns.answer, at::kLong);
  batch.segments = std::move(columns.segments);
  return batch;
}

}  // namespace refrain::train
