#include <refrain/train/batch.hpp>

#include <ATen/ATen.h>

#include <span>

namespace refrain::train {
namespace {

/// Columns of a packed batch while it grows.
struct Columns {
  std::vector<int64_t> tokens, positions, head_rows, targets, answer;
  std::vector<model::Segment> segments;
  int64_t answers = 0;

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  void feed(int64_t token, int64_t position) {
    tokens.push_back(token);
    positions.push_back(position);
  }
};

/// Begins a segment, feeds what `feed` feeds, and keeps the segment unless that is nothing.
template <class Feed>
void append_segment(Columns& columns, int32_t prefix_begin, int32_t prefix_length, Feed const& feed) {
  int32_t const begin = columns.size();
  feed();
  if (columns.size() > begin) columns.segments.push_back({begin, columns.size() - begin, prefix_begin, prefix_length});
}

/// Feeds an answer's tokens but the last, from position `position` on, and scores them: the first by row `before` (-1:
/// there is nothing before it, so that it is not scored).
void append_answer(Columns& columns, std::span<int32_t const> answer, int64_t position, int32_t before) {
  int64_t const number = columns.answers++;
  for (std::size_t i = 0; i < answer.size(); ++i) {
    if (before >= 0) {
      columns.head_rows.push_back(before);
      columns.targets.push_back(answer[i]);
      columns.answer.push_back(number);
    }
    before = columns.size();
    if (i + 1 < answer.size()) columns.feed(answer[i], position++);
  }
}

/// A segment of a prompt and the answer that follows it. @returns the row of the prompt's last token, or -1
int32_t append_whole(Columns& columns, std::span<int32_t const> prompt, std::span<int32_t const> answer) {
  int32_t last = -1;
  append_segment(columns, 0, 0, [&] {
    for (std::size_t i = 0; i < prompt.size(); ++i) columns.feed(prompt[i], static_cast<int64_t>(i));
    if (!prompt.empty()) last = columns.size() - 1;
    append_answer(columns, answer, static_cast<int64_t>(prompt.size()), last);
  });
  return last;
}

/// A segment of one more answer to a prompt whose last token is row `last`.
void append_to_prompt(Columns& columns, std::span<int32_t const> prompt, int32_t last,
                      std::span<int32_t const> answer) {
  auto const length = static_cast<int32_t>(prompt.size());
  append_segment(columns, last + 1 - length, length, [&] { append_answer(columns, answer, length, last); });
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
    int32_t const last = append_whole(columns, prompt, part(pairs, pairs.chosen_begin, pairs.chosen_length, i));
    if (answers == Answers::chosen) continue;
    auto const rejected = part(pairs, pairs.rejected_begin, pairs.rejected_length, i);
    if (answers == Answers::both && last >= 0)
      append_to_prompt(columns, prompt, last, rejected);
    else
      append_whole(columns, prompt, rejected);
  }
  model::PackedBatch batch;
  batch.answers = columns.answers;

  if (int32_t const remainder = columns.size() % tensor_size; remainder != 0)
    append_segment(columns, 0, 0, [&] {
      for (int32_t i = 0; i < tensor_size - remainder; ++i) columns.feed(0, i);
    });
  batch.tokens_T = at::tensor(columns.tokens, at::kLong);
  batch.positions_T = at::tensor(columns.positions, at::kLong);
  batch.head_rows_N = at::tensor(columns.head_rows, at::kLong);
  batch.targets_N = at::tensor(columns.targets, at::kLong);
  batch.answer_N = at::tensor(columns.answer, at::kLong);
  batch.segments = std::move(columns.segments);
  return batch;
}

}  // namespace refrain::train
