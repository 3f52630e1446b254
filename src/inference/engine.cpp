#include <refrain/inference/engine.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/trace.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

namespace refrain::inference {
namespace {

constexpr int64_t page_tokens = 16;
// Rows of logits that are in memory at once.
constexpr int64_t logits_rows = 64;

int64_t pages_in(model::ParameterStore const& store, EngineOptions const& options) {
  int64_t const bytes =
      model::KvCache::page_bytes(store.config(), store.backend().tensor().size(), options.cache_type, page_tokens);
  int64_t const pages = options.cache_bytes / bytes;
  if (pages < 1)
    throw Error("the cache holds no page of " + std::to_string(page_tokens) + " tokens (" + std::to_string(bytes) +
                    " bytes)",
                "raise --cache-memory");
  return pages;
}

}  // namespace

Engine::Engine(model::ParameterStore& store, EngineOptions options)
    : store_(store),
      decoder_(store),
      options_(std::move(options)),
      pool_(pages_in(store, options_), page_tokens),
      cache_(store, options_.cache_type, pool_.capacity() / page_tokens, page_tokens) {}

// Room for each answer's next token; where there is none, the last ones give their places up.
void Engine::grow() {
  for (std::size_t i = 0; i < active_.size(); ++i) {
    while (!pool_.extend(active_[i].pages, active_[i].tokens)) {
      // From behind, where no row has grown in this pass: what a page is known to hold is computed.
      Row last = std::move(active_.back());
      active_.pop_back();
      pool_.release(last.pages);
      last.computed = 0;
      waiting_.push_front(std::move(last));
      ++counts_.given_up;
      if (i == active_.size()) return;
    }
  }
}

void Engine::admit(Source const& source) {
  auto tokens = static_cast<int64_t>(active_.size());  // of the pass
  for (;;) {
    if (waiting_.empty()) {
      auto request = source.next();
      if (!request) return;
      Row row{.request = std::move(*request), .tokens = {}, .pages = {}};
      row.tokens = row.request.prompt;
      waiting_.push_back(std::move(row));
    }
    Row& row = waiting_.front();
    row.pages = pool_.begin(row.tokens);
    int64_t const shared = row.pages.tokens, fresh = static_cast<int64_t>(row.tokens.size()) - shared;
    // A page to spare for each answer under way: else a new one would soon push them out again.
    int64_t const needed = pool_.pages_for(row.pages, static_cast<int64_t>(row.tokens.size()));
    bool const fits = active_.empty() || (tokens + fresh <= options_.pass_tokens &&
                                          needed + static_cast<int64_t>(active_.size()) <= pool_.free_pages());
    if (!fits || !pool_.extend(row.pages, row.tokens)) {
      pool_.release(row.pages);
      return;
    }
    row.computed = shared;
    counts_.shared_tokens += shared;
    tokens += fresh;
    active_.push_back(std::move(row));
    waiting_.pop_front();
  }
}

// What the logits behind a row's last token say: its next token, and behind its prompt the candidates' likelihoods.
void Engine::read(Row& row, std::span<float const> logits) const {
  if (row.answer().empty()) row.logps = log_probabilities(logits, row.request.candidates);
  if (row.request.max_new_tokens == 0) return;
  row.tokens.push_back(next_token(logits, options_.sampling, row.request.random.uniform(row.answer().size())));
}

std::optional<h5::Finish> Engine::finished(Row const& row) const {
  std::span<int32_t const> const answer = row.answer();
  auto const& stops = options_.stop_tokens;
  if (!answer.empty() && (std::find(stops.begin(), stops.end(), answer.back()) != stops.end() || options_.ends(answer)))
    return h5::Finish::stop;
  if (static_cast<int64_t>(answer.size()) >= row.request.max_new_tokens) return h5::Finish::length;
  return std::nullopt;
}

// One forward pass over the new tokens of all active rows, and what its logits say of each.
void Engine::pass(Source const& source) {
  std::vector<int64_t> tokens, positions, last_rows;
  std::vector<model::CachedRow> rows;
  for (Row const& row : active_) {
    auto const begin = static_cast<int64_t>(tokens.size()), length = static_cast<int64_t>(row.tokens.size());
    for (int64_t t = row.computed; t < length; ++t) {
      tokens.push_back(row.tokens[static_cast<std::size_t>(t)]);
      positions.push_back(t);
    }
    rows.push_back({row.pages.pages, length, begin, length - row.computed});
    last_rows.push_back(static_cast<int64_t>(tokens.size()) - 1);
  }
  ++counts_.passes;
  counts_.computed_tokens += static_cast<int64_t>(tokens.size());
  cache_.begin_pass(std::move(rows));
  model::PackedBatch batch;
  at::Device const device = store_.backend().device();
  batch.tokens_T = at::tensor(tokens, at::kLong).to(device);
  batch.positions_T = at::tensor(positions, at::kLong).to(device);
  batch.positions = *std::max_element(positions.begin(), positions.end()) + 1;
  at::NoGradGuard const no_grad;
  at::Tensor x_TD = decoder_.embed(batch);
  // Of the last block only what is read: each row's last token.
  at::Tensor const last_N = at::tensor(last_rows, at::kLong).to(device);
  for (int i = 0; i < decoder_.blocks(); ++i)
    x_TD = decoder_.block(i, x_TD, batch, cache_, i + 1 == decoder_.blocks() ? last_N : at::Tensor());

  for (Row& row : active_) row.computed = static_cast<int64_t>(row.tokens.size());
  for (int64_t first = 0; first < static_cast<int64_t>(active_.size()); first += logits_rows) {
    int64_t const count = std::min<int64_t>(logits_rows, static_cast<int64_t>(active_.size()) - first);
    batch.head_rows_N = at::arange(first, first + count, last_N.options());
    at::Tensor const logits_NV = decoder_.logits(x_TD, batch).cpu().contiguous();
    // A sum of finite numbers this small is finite.
    if (!std::isfinite(logits_NV.sum(at::kDouble).item<double>()))
      throw Error("the model's logits are not finite", "check the checkpoint (refrain-convert verify), and --dtype");
    trace::Span const span("sampling");
    auto const vocabulary = static_cast<std::size_t>(logits_NV.size(1));
    at::parallel_for(0, count, 1, [&](int64_t from, int64_t to) {
      for (int64_t n = from; n < to; ++n)
        read(active_[static_cast<std::size_t>(first + n)],
             {logits_NV.const_data_ptr<float>() + static_cast<std::size_t>(n) * vocabulary, vocabulary});
    });
  }

  std::deque<Row> still;
  for (Row& row : active_) {
    counts_.answered_tokens += row.request.max_new_tokens > 0;
    auto const finish = finished(row);
    if (!finish) {
      still.push_back(std::move(row));
      continue;
    }
    pool_.release(row.pages);
    source.done({row.request.id, {row.answer().begin(), row.answer().end()}, *finish, std::move(row.logps)});
  }
  active_ = std::move(still);
}

void Engine::run(Source const& source) {
  while (!source.stopped()) {
    grow();
    admit(source);
    if (active_.empty()) {
      TORCH_INTERNAL_ASSERT(waiting_.empty(), "a request that the cache cannot hold");
      break;
    }
    pass(source);
  }
  for (Row& row : active_) pool_.release(row.pages);
  active_.clear();
  waiting_.clear();
}

}  // namespace refrain::inference
