#include "batch_source.hpp"

#include "chat_source.hpp"

#include <refrain/base/counted.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/log.hpp>
#include <refrain/endpoint/batch.hpp>

#include <utility>

namespace refrain::generate {
namespace {

/// Files of results to what --batch-out wrote. Rank 0 reads them.
class Results final : public ChatSource {
public:
  using ChatSource::ChatSource;

  bool answer(Answers const& answers) override {
    comm::agree(world_, [&] {
      if (world_.rank() == 0) read(answers);
    });
    return true;
  }

  void describe(Provenance& provenance) const override {
    for (auto const& file : options_.endpoint.batch_in) provenance.add_input(file);
    provenance.set("layout", {{"data", world_.size()}, {"device", "batch files"}});
  }

private:
  void read(Answers const& answers) const {
    auto const wanted = answers.missing();
    auto const requests = chat_requests(options_, answers, wanted);
    endpoint::RequestIndex const index(requests);
    // Kept once all files are known to be sound.
    std::vector<std::pair<int64_t, Finished>> found;
    auto const tally = endpoint::read_batch(options_.endpoint.batch_in, requests, [&](endpoint::Answer const& answer) {
      found.emplace_back(wanted[index.find(answer.custom_id).value()], finished_of(answer, options_));
    });
    if (found.empty())
      throw UsageError("no result belongs to an answer that is missing",
                       "give the prompts and options that --batch-out had, and the results of its requests");
    AnswerJournal journal(answers.parts(), world_.rank(), answers.asked());
    FailureLog failures;
    for (auto const& [number, finished] : found) {
      journal.add(number, finished);
      failures.add(answers.asked().key(number), finished);
    }
    journal.commit();
    if (!tally.missing.empty())
      throw Error(std::to_string(tally.missing.size()) + " of " + std::to_string(wanted.size()) +
                      " answers are still missing; those that came are kept",
                  "write requests for the missing ones with --batch-out, and give their results with --batch-in",
                  {.file = answers.parts().folder()});
  }
};

}  // namespace

std::unique_ptr<Source> open_results(Options const& options, comm::Communicator const& world) {
  return std::make_unique<Results>(options, world);
}

void write_requests(Options const& options, Answers const& answers, comm::Communicator const& world) {
  comm::agree(world, [&] {
    if (world.rank() != 0) return;
    auto const requests = chat_requests(options, answers, answers.missing());
    if (requests.empty()) return log_line("no answer is missing: there is nothing to request");
    auto const files = endpoint::write_batch(options.endpoint.batch_out, requests, options.endpoint.target());
    log_line(counted(requests.size(), "request") + " in " + files.front().string() +
             (files.size() == 1 ? "" : " and the files that follow it") + "; their results go to --batch-in");
  });
}

}  // namespace refrain::generate
