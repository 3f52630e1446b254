#include "source.hpp"
#include "stop_texts.hpp"

#include <refrain/base/files.hpp>
#include <refrain/base/host_memory.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/weights_digest.hpp>
#include <refrain/comm/parallel_layout.hpp>
#include <refrain/comm/watchdog.hpp>
#include <refrain/inference/engine.hpp>
#include <refrain/model/slices.hpp>
#include <refrain/text/tokenizer.hpp>

#include <ATen/Parallel.h>

#include <algorithm>

namespace refrain::generate {
namespace {

namespace fs = std::filesystem;

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

/// A checkpoint, by the engine.
class Model final : public Source {
public:
  Model(Options const& options, comm::Communicator const& world);

  PromptForm form() const override { return PromptForm::tokens; }
  h5::TokenIds token_ids() const override { return h5::TokenIds::kept; }
  Json settings() const override;
  void check(Asked const& asked) override;
  bool answer(Answers const& answers) override;
  void describe(Provenance& provenance) const override;

private:
  void load_weights(model::ParameterStore& store) const;
  int64_t cache_bytes() const;
  void require_rows_fit(int64_t capacity) const;
  inference::Request request(Asked const& asked, int64_t answer) const;
  Finished finished(inference::Answer answer) const;
  bool run(inference::Engine& engine, Answers const& answers);

  Options const& options_;
  comm::Communicator const& world_;
  comm::ParallelLayout layout_;
  checkpoint::ModelConfig config_{};
  DType weights_ = DType::fp32;
  std::optional<text::Tokenizer> tokenizer_;
  std::vector<int32_t> stop_tokens_;
  std::string weights_digest_;
  int64_t longest_ = 0;  // prompt, in tokens
};

Model::Model(Options const& options, comm::Communicator const& world)
    : options_(options),
      world_(world),
      layout_(world, static_cast<int>(options.tensor_parallel), options.data_parallel) {
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
}

Json Model::settings() const {
  return {{"weights", weights_digest_},
          {"dtype", weights_ == DType::bf16 ? "bf16" : "fp32"},
          {"max_new_tokens", options_.max_new_tokens},
          {"temperature", options_.temperature},
          {"top_p", options_.top_p},
          {"top_k", options_.top_k},
          {"seed", options_.seed},
          {"stop", options_.stop},
          {"stop_tokens", stop_tokens_}};
}

void Model::check(Asked const& asked) {
  for (auto const& [prompt, answer] : asked.rows()) {
    auto const tokens = asked.tokens(prompt);
    if (tokens.empty())
      throw Error("the prompt has no tokens", "leave it out, or choose a chat template that adds some",
                  asked.place(prompt));
    if (std::ssize(tokens) >= config_.max_position_embeddings)
      throw Error("the prompt has " + std::to_string(tokens.size()) + " tokens, the model sees " +
                      std::to_string(config_.max_position_embeddings),
                  "shorten it, or choose a model that sees more", asked.place(prompt));
    if (int32_t const highest = *std::max_element(tokens.begin(), tokens.end()); highest >= config_.vocab_size)
      throw Error("token " + std::to_string(highest) + " is not in the model's vocabulary of " +
                      std::to_string(config_.vocab_size),
                  "make the prompts with this model's tokenizer", asked.place(prompt));
    longest_ = std::max<int64_t>(longest_, std::ssize(tokens));
  }
}

void Model::load_weights(model::ParameterStore& store) const {
  auto const model = checkpoint::open_model(options_.checkpoint);
  if (options_.adapter.empty()) return model::load_model(store, *model);
  checkpoint::Adapter const adapter = checkpoint::open_adapter(options_.adapter);
  model::load_model(store, *checkpoint::merged_model(*model, adapter));
}

int64_t Model::cache_bytes() const {
  if (options_.cache_memory) return static_cast<int64_t>(*options_.cache_memory * 0x1p30);
  return world_.min(available_memory() / (2 * world_.split_by_node().size()));
}

void Model::require_rows_fit(int64_t capacity) const {
  int64_t const longest = longest_ + options_.max_new_tokens;
  if (longest <= capacity) return;
  throw UsageError("the longest prompt and answer have up to " + std::to_string(longest) + " tokens, the cache holds " +
                       std::to_string(capacity),
                   "raise --cache-memory, or lower --max-new-tokens");
}

inference::Request Model::request(Asked const& asked, int64_t answer) const {
  return {.id = answer,
          .prompt = asked.tokens(asked.prompt_of(answer)),
          .max_new_tokens = options_.max_new_tokens,
          .random = CounterRandom(static_cast<uint64_t>(options_.seed), "answer/" + asked.key(answer).name())};
}

Finished Model::finished(inference::Answer answer) const {
  std::string text = before_stop(tokenizer_->decode(answer.tokens, true), options_.stop);
  return {.tokens = std::move(answer.tokens), .text = std::move(text), .finish = answer.finish};
}

bool Model::answer(Answers const& answers) {
  auto const backend = model::cpu_backend(layout_);
  model::ParameterStore store(config_, *backend, {.weights = weights_, .gradients = false});
  comm::agree(world_, [&] { load_weights(store); });
  StopTexts const stops(*tokenizer_, options_.stop);
  inference::Engine engine(
      store, {.sampling = {.temperature = options_.temperature, .top_k = options_.top_k, .top_p = options_.top_p},
              .stop_tokens = stop_tokens_,
              .ends = [&](auto answer) { return stops.found_at_end(answer); },
              .cache_bytes = cache_bytes(),
              .cache_type = weights_});
  comm::agree(world_, [&] { require_rows_fit(engine.capacity()); });
  return run(engine, answers);
}

bool Model::run(inference::Engine& engine, Answers const& answers) {
  comm::Watchdog watchdog(world_, options_.parts_folder(), options_.timeout);
  std::vector<int64_t> const mine = answers.share(layout_.data().rank(), layout_.data().size());
  std::size_t asked = 0;
  int64_t done = 0, tokens = 0;
  std::optional<AnswerJournal> journal;
  if (layout_.tensor().rank() == 0 && !mine.empty())
    journal.emplace(options_.parts_folder(), layout_.data().rank(), answers.asked());
  Progress progress("answers", static_cast<int64_t>(mine.size()), "answers");
  bool stopped = false;
  engine.run({.next = [&]() -> std::optional<inference::Request> {
                if (asked == mine.size()) return std::nullopt;
                return request(answers.asked(), mine[asked++]);
              },
              .done =
                  [&](inference::Answer answer) {
                    ++done;
                    tokens += std::ssize(answer.tokens);
                    if (!journal) return;
                    journal->add(answer.id, finished(std::move(answer)));
                    progress.advance(done, std::to_string(tokens) + " tokens");
                  },
              .stopped =
                  [&] {
                    watchdog.progress("answering");
                    if (journal) journal->tick();
                    stopped = layout_.tensor().max(int64_t{stop_requested()}) == 1;
                    return stopped;
                  }});
  if (journal) journal->commit();
  world_.barrier();
  return world_.max(int64_t{stopped}) == 0;
}

void Model::describe(Provenance& provenance) const {
  provenance.add_input(options_.checkpoint);
  if (!options_.adapter.empty()) provenance.add_input(options_.adapter);
  provenance.set("layout", {{"tensor", layout_.tensor().size()},
                            {"data", layout_.data().size()},
                            {"threads", at::get_num_threads()},
                            {"device", "cpu"}});
}

}  // namespace

std::unique_ptr<Source> open_model(Options const& options, comm::Communicator const& world) {
  return std::make_unique<Model>(options, world);
}

}  // namespace refrain::generate
