#include <refrain/generate/job.hpp>

#include "answers.hpp"
#include "stop_texts.hpp"

#include <refrain/base/files.hpp>
#include <refrain/base/host_memory.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/weights_digest.hpp>
#include <refrain/comm/watchdog.hpp>
#include <refrain/inference/engine.hpp>
#include <refrain/model/slices.hpp>
#include <refrain/text/tokenizer.hpp>

#include <ATen/Parallel.h>

#include <algorithm>

namespace refrain::generate {
namespace {

namespace fs = std::filesystem;

/// Answers that a rank finishes between two writes to its journal.
constexpr int64_t answers_a_commit = 16;

/// What generation_config.json says ends an answer, else config.json.
std::vector<int32_t> stop_tokens_of(fs::path const& folder) {
  for (char const* name : {"generation_config.json", "config.json"}) {
    if (!fs::exists(folder / name)) continue;
    Json const config = read_json(folder / name);
    if (!config.contains("eos_token_id") || config.at("eos_token_id").is_null()) continue;
    if (config.at("eos_token_id").is_array()) {
      auto const ids = json_get<std::vector<int64_t>>(config, "eos_token_id", folder / name);
      return {ids.begin(), ids.end()};
    }
    return {static_cast<int32_t>(json_get<int64_t>(config, "eos_token_id", folder / name))};
  }
  return {};
}

/// Everything of one run.
class Run {
public:
  Run(Options const& options, comm::Communicator const& world)
      : options_(options), world_(world), layout_(world, static_cast<int>(options.tensor_parallel), options.data_parallel) {}

  Exit go();

private:
  void load_inputs();
  void require_rows_fit(int64_t capacity) const;
  void load_weights(model::ParameterStore& store) const;
  Json identity() const;
  int64_t cache_bytes() const;
  bool answer(model::ParameterStore& store);

  Options const& options_;
  comm::Communicator const& world_;
  comm::ParallelLayout layout_;
  checkpoint::ModelConfig config_{};
  DType weights_ = DType::fp32;
  std::optional<text::Tokenizer> tokenizer_;
  std::vector<int32_t> stop_tokens_;
  std::string weights_digest_;
  std::optional<Answers> answers_;
};

void Run::load_inputs() {
  comm::agree(world_, [&] {
    config_ = checkpoint::ModelConfig::load(options_.checkpoint);
    model::check_tensor_degree(config_, static_cast<int>(options_.tensor_parallel));
    tokenizer_.emplace(text::Tokenizer::load(options_.checkpoint));
    stop_tokens_ = stop_tokens_of(options_.checkpoint);
  });
  weights_ = options_.dtype == Precision::bf16   ? DType::bf16
             : options_.dtype == Precision::fp32 ? DType::fp32
             : config_.dtype == DType::bf16      ? DType::bf16
                                                 : DType::fp32;
  weights_digest_ = checkpoint::weights_digest(options_.checkpoint, world_);
  if (!options_.adapter.empty()) weights_digest_ += "+" + checkpoint::weights_digest(options_.adapter, world_);
  comm::agree(world_, [&] { answers_.emplace(options_, config_, identity()); });
  answers_->open(world_);
}

// What an answer depends on beside its prompt.
Json Run::identity() const {
  return {{"weights", weights_digest_},
          {"dtype", weights_ == DType::bf16 ? "bf16" : "fp32"},
          {"max_new_tokens", options_.max_new_tokens},
          {"temperature", options_.temperature},
          {"top_p", options_.top_p},
          {"top_k", options_.top_k},
          {"samples", options_.samples},
          {"seed", options_.seed},
          {"stop", options_.stop},
          {"stop_tokens", stop_tokens_}};
}

void Run::load_weights(model::ParameterStore& store) const {
  auto const model = checkpoint::open_model(options_.checkpoint);
  if (options_.adapter.empty()) return model::load_model(store, *model);
  checkpoint::Adapter const adapter = checkpoint::open_adapter(options_.adapter);
  model::load_model(store, *checkpoint::merged_model(*model, adapter));
}

int64_t Run::cache_bytes() const {
  if (options_.cache_memory) return static_cast<int64_t>(*options_.cache_memory * 0x1p30);
  return world_.min(available_memory() / (2 * world_.split_by_node().size()));
}

void Run::require_rows_fit(int64_t capacity) const {
  int64_t const longest = answers_->longest_prompt() + options_.max_new_tokens;
  if (longest <= capacity) return;
  throw UsageError("the longest prompt and answer have up to " + std::to_string(longest) + " tokens, the cache holds " +
                       std::to_string(capacity),
                   "raise --cache-memory, or lower --max-new-tokens");
}

/// @returns whether all of this rank's prompts are answered
bool Run::answer(model::ParameterStore& store) {
  StopTexts const stops(*tokenizer_, options_.stop);
  inference::Engine engine(store, {.sampling = {.temperature = options_.temperature,
                                                .top_k = options_.top_k,
                                                .top_p = options_.top_p},
                                   .stop_tokens = stop_tokens_,
                                   .ends = [&](auto answer) { return stops.found_at_end(answer); },
                                   .cache_bytes = cache_bytes(),
                                   .cache_type = weights_});
  comm::agree(world_, [&] { require_rows_fit(engine.capacity()); });
  comm::Watchdog watchdog(world_, options_.parts_folder(), options_.timeout);
  std::vector<int64_t> const mine = answers_->share(layout_.data().rank(), layout_.data().size());
  std::size_t asked = 0;
  int64_t done = 0, tokens = 0;
  bool const writes = layout_.tensor().rank() == 0;
  std::optional<JournalWriter> journal;
  if (writes && !mine.empty())
    journal.emplace(options_.parts_folder(), "rank-" + std::to_string(layout_.data().rank()));
  Progress progress("answers", static_cast<int64_t>(mine.size()), "answers");
  bool stopped = false;
  engine.run({.next = [&]() -> std::optional<inference::Request> {
                if (asked == mine.size()) return std::nullopt;
                return answers_->request(mine[asked++]);
              },
              .done =
                  [&](inference::Answer answer) {
                    ++done;
                    tokens += static_cast<int64_t>(answer.tokens.size());
                    if (!journal) return;
                    journal->add(answers_->record(answer));
                    if (done % answers_a_commit == 0) journal->commit();
                    progress.advance(done, std::to_string(tokens) + " tokens");
                  },
              .stopped =
                  [&] {
                    watchdog.progress("answering");
                    stopped = layout_.tensor().max(int64_t{stop_requested()}) == 1;
                    return stopped;
                  }});
  if (journal) journal->commit();
  world_.barrier();
  return world_.max(int64_t{stopped}) == 0;
}

Exit Run::go() {
  load_inputs();
  if (answers_->complete()) {
    log_line("every answer is in " + options_.out.string() + " already");
    return Exit::success;
  }
  auto const backend = model::cpu_backend(layout_);
  model::ParameterStore store(config_, *backend, {.weights = weights_, .gradients = false});
  comm::agree(world_, [&] { load_weights(store); });
  bool const all = answer(store);
  if (!all) {
    log_line("stopped; what is answered is kept in " + options_.parts_folder().string());
    return Exit::stopped_early;
  }
  comm::agree(world_, [&] {
    if (world_.rank() != 0) return;
    Provenance provenance("refrain-generate", options_.record);
    provenance.add_input(options_.prompts);
    provenance.add_input(options_.checkpoint);
    if (!options_.adapter.empty()) provenance.add_input(options_.adapter);
    provenance.set("layout", {{"tensor", layout_.tensor().size()},
                              {"data", layout_.data().size()},
                              {"threads", at::get_num_threads()},
                              {"device", "cpu"}});
    answers_->merge(*tokenizer_, StopTexts(*tokenizer_, options_.stop), provenance.json());
  });
  return Exit::success;
}

}  // namespace

Exit run(Options const& options, comm::Communicator const& world) { return Run(options, world).go(); }

}  // namespace refrain::generate
