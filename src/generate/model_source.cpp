#include "source.hpp"
#include "stop_texts.hpp"
#include "token_rate.hpp"

#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/comm/watchdog.hpp>
#include <refrain/inference/engine.hpp>
#include <refrain/inference/loaded_model.hpp>
#include <refrain/text/tokenizer.hpp>

#include <algorithm>

namespace refrain::generate {
namespace {

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
  void require_rows_fit(int64_t capacity) const;
  inference::Request request(Asked const& asked, int64_t answer) const;
  Finished finished(inference::Answer answer) const;
  bool run(inference::Engine& engine, Answers const& answers);

  Options const& options_;
  comm::Communicator const& world_;
  inference::LoadedModel model_;
  std::optional<text::Tokenizer> tokenizer_;
  int64_t longest_ = 0;  // prompt, in tokens
};

Model::Model(Options const& options, comm::Communicator const& world)
    : options_(options), world_(world), model_(options.model, world) {
  comm::agree(world_, [&] { tokenizer_.emplace(text::Tokenizer::load(options_.model.checkpoint)); });
}

Json Model::settings() const {
  Json settings = model_.identity();
  settings.update({{"max_new_tokens", options_.max_new_tokens},
                   {"temperature", options_.temperature},
                   {"top_p", options_.top_p},
                   {"top_k", options_.top_k},
                   {"seed", options_.seed},
                   {"stop", options_.stop},
                   {"stop_tokens", model_.stop_tokens()}});
  return settings;
}

void Model::check(Asked const& asked) {
  for (auto const& [prompt, answer] : asked.rows()) {
    auto const tokens = asked.tokens(prompt);
    if (tokens.empty())
      throw Error("the prompt has no tokens", "leave it out, or choose a chat template that adds some",
                  asked.place(prompt));
    if (std::ssize(tokens) >= model_.config().max_position_embeddings)
      throw Error("the prompt has " + std::to_string(tokens.size()) + " tokens, the model sees " +
                      std::to_string(model_.config().max_position_embeddings),
                  "shorten it, or choose a model that sees more", asked.place(prompt));
    if (int32_t const highest = *std::max_element(tokens.begin(), tokens.end()); highest >= model_.config().vocab_size)
      throw Error("token " + std::to_string(highest) + " is not in the model's vocabulary of " +
                      std::to_string(model_.config().vocab_size),
                  "make the prompts with this model's tokenizer", asked.place(prompt));
    longest_ = std::max<int64_t>(longest_, std::ssize(tokens));
  }
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
  model::ParameterStore& store = model_.load();
  StopTexts const stops(*tokenizer_, options_.stop);
  inference::Engine engine(
      store, {.sampling = {.temperature = options_.temperature, .top_k = options_.top_k, .top_p = options_.top_p},
              .stop_tokens = model_.stop_tokens(),
              .ends = [&](auto answer) { return stops.found_at_end(answer); },
              .cache_bytes = model_.cache_bytes(),
              .cache_type = model_.dtype()});
  comm::agree(world_, [&] { require_rows_fit(engine.capacity()); });
  return run(engine, answers);
}

bool Model::run(inference::Engine& engine, Answers const& answers) {
  comm::Watchdog watchdog(world_, answers.parts().folder(), options_.model.timeout);
  std::vector<int64_t> const mine = answers.share(model_.layout().data().rank(), model_.layout().data().size());
  std::size_t asked = 0;
  int64_t done = 0;
  TokenRate rate;
  std::optional<AnswerJournal> journal;
  if (model_.layout().tensor().rank() == 0 && !mine.empty())
    journal.emplace(answers.parts(), model_.layout().data().rank(), answers.asked());
  Progress progress("answers", static_cast<int64_t>(mine.size()), "answers");
  bool stopped = false;
  engine.run({.next = [&]() -> std::optional<inference::Request> {
                if (asked == mine.size()) return std::nullopt;
                return request(answers.asked(), mine[asked++]);
              },
              .done =
                  [&](inference::Answer answer) {
                    ++done;
                    rate.add(std::ssize(answer.tokens));
                    if (!journal) return;
                    journal->add(answer.id, finished(std::move(answer)));
                    progress.advance(done, rate.text());
                  },
              .stopped =
                  [&] {
                    watchdog.progress("answering");
                    if (journal) journal->tick();
                    stopped = model_.layout().tensor().max(int64_t{stop_requested()}) == 1;
                    return stopped;
                  }});
  if (journal) journal->commit();
  world_.barrier();
  return world_.max(int64_t{stopped}) == 0;
}

void Model::describe(Provenance& provenance) const {
  provenance.add_input(options_.model.checkpoint);
  if (!options_.model.adapter.empty()) provenance.add_input(options_.model.adapter);
  provenance.set("layout", model_.layout_record());
}

}  // namespace

std::unique_ptr<Source> open_model(Options const& options, comm::Communicator const& world) {
  return std::make_unique<Model>(options, world);
}

}  // namespace refrain::generate
