#include "judge.hpp"

#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/endpoint/ask.hpp>
#include <refrain/endpoint/batch.hpp>

namespace refrain::judge {
namespace {

class ServerJudge : public Judge {
public:
  explicit ServerJudge(Case const& on) : on_(on), alone_(comm::Communicator::single()) {}

  Json identity() const override {
    return {{"model", on_.options.endpoint.model}, {"show_prompt", on_.options.show_prompt}};
  }
  std::vector<std::filesystem::path> inputs() const override { return on_.options.endpoint.batch_in; }
  // Files of requests have one writer and one reader.
  comm::Communicator const& group() const override { return by_files() ? alone_ : on_.world; }
  bool keeps() const override { return !by_files() || on_.world.rank() == 0; }
  Asked ask(std::vector<int64_t> const& items, std::filesystem::path const& kept_in, OnSaid const& on_said) override;

private:
  bool by_files() const { return on_.options.endpoint.source() != endpoint::Source::server; }
  std::vector<endpoint::Request> requests(std::vector<int64_t> const& items) const;

  Case on_;
  comm::Communicator alone_;
};

std::vector<endpoint::Request> ServerJudge::requests(std::vector<int64_t> const& items) const {
  Question const& question = *on_.definition.question;
  std::vector<endpoint::Request> requests;
  for (int64_t const item : items) {
    // Results of other answers, judges or models are foreign to these.
    std::string const about = sha256(on_.definition.name + "\n" + on_.options.endpoint.model + "\n" +
                                     on_.items.digest(on_.items.file_of(item)));
    endpoint::Request request{.custom_id = on_.definition.name + "-" + about.substr(0, 12) + "-" +
                                           std::to_string(on_.items.row_of(item)),
                              .messages = {},
                              .sampling = {.max_tokens = question.max_tokens, .temperature = 0.}};
    for (auto const& turn : judge::ask(question, on_.items.prompt(item), on_.items.response(item),
                                       on_.items.language(item), on_.options.show_prompt))
      request.messages.push_back({turn.role, turn.content});
    requests.push_back(std::move(request));
  }
  return requests;
}

Asked ServerJudge::ask(std::vector<int64_t> const& items, std::filesystem::path const&, OnSaid const& on_said) {
  auto const& options = on_.options.endpoint;
  Asked asked = Asked::all;
  comm::agree(on_.world, [&] {
    if (items.empty() || !keeps()) return;
    auto const requests = this->requests(items);
    endpoint::RequestIndex const index(requests);
    auto const take = [&](endpoint::Answer const& answer) {
      on_said(items[*index.find(answer.custom_id)],
              {.answer = answer.error.empty() ? answer.completions.front().text : "", .failure = answer.error});
    };
    switch (options.source()) {
      case endpoint::Source::batch_out:
        for (auto const& file : endpoint::write_batch(options.batch_out, requests, options.target()))
          log_line("requests in " + file.string());
        asked = Asked::later;
        break;
      case endpoint::Source::batch_in:
        if (!endpoint::read_batch(options.batch_in, requests, take).missing.empty()) asked = Asked::missing;
        break;
      default: {
        auto const tally = endpoint::ask(
            options, requests, [&](endpoint::Answer const& answer, auto const&) { take(answer); }, stop_requested);
        if (tally.left() > 0) asked = Asked::stopped;
      }
    }
  });
  return static_cast<Asked>(on_.world.max(static_cast<int64_t>(asked)));
}

}  // namespace

std::unique_ptr<Judge> server_judge(Case const& on) { return std::make_unique<ServerJudge>(on); }

}  // namespace refrain::judge
