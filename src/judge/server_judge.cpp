#include "judge.hpp"

#include <refrain/base/counted.hpp>
#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/comm/watchdog.hpp>
#include <refrain/endpoint/ask.hpp>
#include <refrain/endpoint/batch.hpp>
#include <refrain/judge/question.hpp>

namespace refrain::judge {
namespace {

RawVerdict verdict_of(endpoint::Answer const& answer) {
  if (!answer.error.empty()) return {.failure = answer.error};
  endpoint::Completion const& completion = answer.completions.front();
  if (endpoint::ending(completion) == endpoint::Ending::withheld)
    return {.failure = endpoint::why_withheld(completion)};
  return {.answer = completion.text};
}

class ServerJudge : public Judge {
public:
  explicit ServerJudge(JudgeInputs const& inputs) : inputs_(inputs), alone_(comm::Communicator::single()) {}

  Json identity() const override {
    return {{"model", inputs_.options.endpoint.model}, {"show_prompt", inputs_.options.show_prompt}};
  }
  std::vector<std::filesystem::path> inputs() const override { return inputs_.options.endpoint.batch_in; }
  // Files of requests have one writer and one reader.
  comm::Communicator const& group() const override { return by_files() ? alone_ : inputs_.world; }
  bool keeps() const override { return !by_files() || inputs_.world.rank() == 0; }
  AskOutcome ask(std::vector<int64_t> const& items, Recorder& recorder) override;

private:
  bool by_files() const { return inputs_.options.endpoint.source() != endpoint::Source::server; }
  std::vector<endpoint::Request> requests(std::vector<int64_t> const& items) const;
  AskOutcome from_files(std::vector<endpoint::Request> const& requests, std::vector<int64_t> const& items,
                        Recorder& recorder) const;
  AskOutcome from_server(std::vector<endpoint::Request> const& requests, std::vector<int64_t> const& items,
                         Recorder& recorder, comm::Watchdog& watchdog) const;

  JudgeInputs inputs_;
  comm::Communicator alone_;
};

std::vector<endpoint::Request> ServerJudge::requests(std::vector<int64_t> const& items) const {
  Question const& question = *inputs_.definition.question;
  std::vector<endpoint::Request> requests;
  for (int64_t const item : items) {
    // Results of another question, of other answers or of another model are foreign to these.
    std::string const about = sha256(dump_text(identity()) + sha256_file(inputs_.definition.path) +
                                     inputs_.items.digest(inputs_.items.file_of(item)));
    endpoint::Request request{.custom_id = inputs_.definition.name.substr(0, 24) + "-" + about.substr(0, 20) + "-" +
                                           std::to_string(inputs_.items.row_of(item)),
                              .messages = {},
                              .sampling = {.max_tokens = question.max_tokens, .temperature = 0.}};
    for (auto const& turn : judge::ask(question, inputs_.items.prompt(item), inputs_.items.response(item),
                                       inputs_.items.language(item), inputs_.options.show_prompt))
      request.messages.push_back({turn.role, turn.content});
    requests.push_back(std::move(request));
  }
  return requests;
}

AskOutcome ServerJudge::from_files(std::vector<endpoint::Request> const& requests, std::vector<int64_t> const& items,
                                   Recorder& recorder) const {
  auto const& options = inputs_.options.endpoint;
  if (options.source() == endpoint::Source::batch_out) {
    auto const files = endpoint::write_batch(options.batch_out, requests, options.target());
    log_line(counted(requests.size(), "request") + " in " + files.front().string() +
             (files.size() == 1 ? "" : " and the files that follow it"));
    return AskOutcome::later;
  }
  endpoint::RequestIndex const index(requests);
  // Kept once all files are known to be sound.
  std::vector<endpoint::Answer> found;
  auto const tally = endpoint::read_batch(options.batch_in, requests,
                                          [&](endpoint::Answer answer) { found.push_back(std::move(answer)); });
  if (found.empty())
    throw UsageError("no result belongs to an answer that is to be judged",
                     "give the answers, judge and options that --batch-out had, and the results of its requests");
  for (auto const& answer : found) recorder.add(items[*index.find(answer.custom_id)], verdict_of(answer));
  return tally.missing.empty() ? AskOutcome::all : AskOutcome::missing;
}

AskOutcome ServerJudge::from_server(std::vector<endpoint::Request> const& requests, std::vector<int64_t> const& items,
                                    Recorder& recorder, comm::Watchdog& watchdog) const {
  endpoint::RequestIndex const index(requests);
  auto const tally = endpoint::ask(
      inputs_.options.endpoint, requests,
      [&](endpoint::Answer const& answer, auto const&) {
        recorder.add(items[*index.find(answer.custom_id)], verdict_of(answer));
      },
      [&] {
        watchdog.progress("waiting for the server");
        recorder.tick();
        return stop_requested();
      },
      recorder.told_before() ? endpoint::Server::has_answered : endpoint::Server::unproven);
  return tally.left() > 0 ? AskOutcome::stopped : AskOutcome::all;
}

AskOutcome ServerJudge::ask(std::vector<int64_t> const& items, Recorder& recorder) {
  comm::Watchdog watchdog(inputs_.world, recorder.folder(), inputs_.options.model.timeout);
  AskOutcome asked = AskOutcome::all;
  comm::agree(inputs_.world, [&] {
    if (items.empty() || !keeps()) return;
    auto const requests = this->requests(items);
    asked = by_files() ? from_files(requests, items, recorder) : from_server(requests, items, recorder, watchdog);
  });
  return static_cast<AskOutcome>(inputs_.world.max(static_cast<int64_t>(asked)));
}

}  // namespace

std::unique_ptr<Judge> server_judge(JudgeInputs const& inputs) { return std::make_unique<ServerJudge>(inputs); }

}  // namespace refrain::judge
