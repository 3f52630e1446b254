#include <refrain/generate/job.hpp>

#include "answers.hpp"
#include "stop_texts.hpp"

#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/comm/watchdog.hpp>
#include <refrain/inference/engine.hpp>
#include <refrain/inference/loaded_model.hpp>
#include <refrain/text/tokenizer.hpp>

namespace refrain::generate {
namespace {

/// Answers that a rank finishes between two writes to its journal.
constexpr int64_t answers_a_commit = 16;

/// Everything of one run.
class Run {
public:
  Run(Options const& options, comm::Communicator const& world)
      : options_(options), world_(world), model_(options.model, world) {}

  Exit go();

private:
  void load_inputs();
  void require_rows_fit(int64_t capacity) const;
  Json identity() const;
  bool answer(model::ParameterStore& store);

  Options const& options_;
  comm::Communicator const& world_;
  inference::LoadedModel model_;
  std::optional<text::Tokenizer> tokenizer_;
  std::optional<Answers> answers_;
};

void Run::load_inputs() {
  comm::agree(world_, [&] { tokenizer_.emplace(text::Tokenizer::load(options_.model.checkpoint)); });
  comm::agree(world_, [&] { answers_.emplace(options_, model_.config(), identity()); });
  answers_->open(world_);
}

// What an answer depends on beside its prompt.
Json Run::identity() const {
  Json identity = model_.identity();
  identity.update({{"max_new_tokens", options_.max_new_tokens},
                   {"temperature", options_.temperature},
                   {"top_p", options_.top_p},
                   {"top_k", options_.top_k},
                   {"samples", options_.samples},
                   {"seed", options_.seed},
                   {"stop", options_.stop},
                   {"stop_tokens", model_.stop_tokens()}});
  return identity;
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
  inference::Engine engine(
      store, {.sampling = {.temperature = options_.temperature, .top_k = options_.top_k, .top_p = options_.top_p},
              .stop_tokens = model_.stop_tokens(),
              .ends = [&](auto answer) { return stops.found_at_end(answer); },
              .cache_bytes = model_.cache_bytes(),
              .cache_type = model_.dtype()});
  comm::agree(world_, [&] { require_rows_fit(engine.capacity()); });
  comm::Watchdog watchdog(world_, answers_->parts().folder(), options_.model.timeout);
  std::vector<int64_t> const mine = answers_->share(model_.layout().data().rank(), model_.layout().data().size());
  std::size_t asked = 0;
  int64_t done = 0, tokens = 0;
  bool const writes = model_.layout().tensor().rank() == 0;
  std::optional<JournalWriter> journal;
  if (writes && !mine.empty()) journal.emplace(answers_->parts().writer(model_.layout().data().rank()));
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
                    stopped = model_.layout().tensor().max(int64_t{stop_requested()}) == 1;
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
  bool const all = answer(model_.load());
  if (!all) {
    log_line("stopped; what is answered is kept in " + answers_->parts().folder().string());
    return Exit::stopped_early;
  }
  comm::agree(world_, [&] {
    if (world_.rank() != 0) return;
    Provenance provenance("refrain-generate", options_.record);
    provenance.add_input(options_.prompts);
    provenance.add_input(options_.model.checkpoint);
    if (!options_.model.adapter.empty()) provenance.add_input(options_.model.adapter);
    provenance.set("layout", model_.layout_record());
    answers_->merge(*tokenizer_, StopTexts(*tokenizer_, options_.stop), provenance.json());
  });
  return Exit::success;
}

}  // namespace

Exit run(Options const& options, comm::Communicator const& world) { return Run(options, world).go(); }

}  // namespace refrain::generate
