#include "chat_source.hpp"
#include "token_rate.hpp"

#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/comm/watchdog.hpp>
#include <refrain/endpoint/ask.hpp>

namespace refrain::generate {
namespace {

/// An OpenAI-compatible server. All ranks ask it, each for its share.
class Server final : public ChatSource {
public:
  using ChatSource::ChatSource;

  bool answer(Answers const& answers) override {
    comm::Watchdog watchdog(world_, answers.parts().folder(), options_.model.timeout);
    bool all = true;
    comm::agree(world_, [&] { all = ask(answers, watchdog); });
    return world_.min(int64_t{all}) == 1;
  }

  void describe(Provenance& provenance) const override {
    provenance.set("layout", {{"data", world_.size()}, {"device", "server"}});
  }

private:
  /// @returns whether no request is left
  bool ask(Answers const& answers, comm::Watchdog& watchdog) const {
    auto const mine = answers.share(world_.rank(), world_.size());
    auto const requests = chat_requests(options_, answers, mine);
    endpoint::RequestIndex const index(requests);
    AnswerJournal journal(answers.parts(), world_.rank(), answers.asked());
    FailureLog failures;
    Progress progress("answers", static_cast<int64_t>(mine.size()), "answers");
    TokenRate rate;
    auto const take = [&](endpoint::Answer const& answer, endpoint::Tally const& tally) {
      int64_t const number = mine[index.find(answer.custom_id).value()];
      Finished const finished = finished_of(answer, options_);
      journal.add(number, finished);
      failures.add(answers.asked().key(number), finished);
      if (answer.usage) rate.add(answer.usage->completion_tokens);
      progress.advance(tally.total - tally.left(), rate.text() + ", " + std::to_string(tally.retries) + " retries");
    };
    auto const stop = [&] {
      watchdog.progress("waiting for the server");
      journal.tick();
      return stop_requested();
    };
    auto const known = answers.any_finished() ? endpoint::Server::has_answered : endpoint::Server::unproven;
    try {
      auto const tally = endpoint::ask(options_.endpoint, requests, take, stop, known);
      journal.commit();
      return tally.left() == 0;
    } catch (...) {
      journal.commit_after_failure();
      throw;
    }
  }
};

}  // namespace

std::unique_ptr<Source> open_server(Options const& options, comm::Communicator const& world) {
  return std::make_unique<Server>(options, world);
}

}  // namespace refrain::generate
