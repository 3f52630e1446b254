#pragma once

#include <refrain/base/random.hpp>
#include <refrain/h5/responses_file.hpp>
#include <refrain/inference/page_pool.hpp>
#include <refrain/inference/sampling.hpp>
#include <refrain/model/kv_cache.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace refrain::inference {

/// One answer to be made, or likelihoods to be read.
struct Request {
  int64_t id = 0;  ///< the caller's
  std::vector<int32_t> prompt;
  int64_t max_new_tokens = 0;   ///< 0: nothing is written
  CounterRandom random{0, ""};  ///< draw i is for token i of the answer, whatever else runs
  /// Tokens whose likelihoods right behind the prompt are asked for.
  std::vector<int32_t> candidates = {};
};

struct Answer {
  int64_t id = 0;
  std::vector<int32_t> tokens;  ///< a stop token that ended it included
  h5::Finish finish = h5::Finish::length;
  std::vector<double> logps;  ///< of the request's candidates, over the whole vocabulary
};

struct EngineOptions {
  Sampling sampling;
  std::vector<int32_t> stop_tokens;
  /// Whether an answer ends with these tokens, beside the stop tokens.
  std::function<bool(std::span<int32_t const> answer)> ends = [](auto) { return false; };
  int64_t cache_bytes = 0;  ///< for keys and values, on each tensor rank
  DType cache_type = DType::fp32;
  int64_t pass_tokens = 2048;  ///< that a pass computes at once, where one prompt alone is not longer
};

/// Continuous batching over a paged cache: in each forward pass every answer under way grows by a token, and prompts of
/// waiting requests enter as soon as there is room for them, so that none waits for the longest. Where the cache is
/// full the answer that came last gives its place up and comes back later. All tensor ranks take the same steps.
class Engine {
public:
  /// `store` must outlive it. @throws Error if the cache does not hold a single page
  Engine(model::ParameterStore& store, EngineOptions options);

  /// Longest prompt and answer together that the cache can hold, in tokens.
  int64_t capacity() const noexcept { return pool_.capacity(); }

  struct Source {
    std::function<std::optional<Request>()> next;  ///< nothing when there are none; `done` may bring more
    std::function<void(Answer)> done;              ///< in any order
    std::function<bool()> stopped;                 ///< ends early, with what is under way dropped; asked once a pass
  };
  /// Answers all requests. @throws Error where logits are not finite. @collective over tensor: every rank gives the
  /// same source @pre prompt and answer of each fit into `capacity` and the model's positions
  void run(Source const& source);

  struct Counts {
    int64_t passes = 0, computed_tokens = 0, shared_tokens = 0, answered_tokens = 0, given_up = 0;
  };
  Counts const& counts() const noexcept { return counts_; }

private:
  struct Row {
    Request request;
    std::vector<int32_t> tokens;  // prompt, then answer
    RowPages pages;
    int64_t computed = 0;  // tokens whose keys and values are there, before the pass
    std::vector<double> logps = {};

    std::span<int32_t const> answer() const { return std::span(tokens).subspan(request.prompt.size()); }
  };

  void grow();
  void admit(Source const& source);
  void pass(Source const& source);
  void read(Row& row, std::span<float const> logits) const;
  std::optional<h5::Finish> finished(Row const& row) const;

  model::ParameterStore& store_;
  model::Decoder decoder_;
  EngineOptions options_;
  PagePool pool_;
  model::KvCache cache_;
  std::deque<Row> active_, waiting_;  // active: in the order of their admission
  Counts counts_;
};

}  // namespace refrain::inference
