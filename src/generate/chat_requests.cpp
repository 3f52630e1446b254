#include "chat_requests.hpp"

#include "stop_texts.hpp"

#include <refrain/base/log.hpp>

namespace refrain::generate {
namespace {

constexpr int64_t most_logged = 3;

}  // namespace

Json chat_settings(Options const& options) {
  return {{"model", options.endpoint.model},
          {"max_new_tokens", options.max_new_tokens},
          {"temperature", options.temperature},
          {"top_p", options.top_p},
          {"seed", options.seed},
          {"stop", options.stop}};
}

std::vector<endpoint::Request> chat_requests(Options const& options, Answers const& answers,
                                             std::vector<int64_t> const& wanted) {
  std::vector<endpoint::Request> requests;
  requests.reserve(wanted.size());
  for (int64_t const answer : wanted) {
    AnswerKey const& key = answers.asked().key(answer);
    endpoint::Sampling sampling{.max_tokens = options.max_new_tokens,
                                .temperature = options.temperature,
                                .top_p = options.top_p,
                                .stop = options.stop};
    if (options.temperature > 0) sampling.seed = options.seed + key.sample;
    requests.push_back({.custom_id = key.custom_id(answers.settings()),
                        .messages = answers.asked().messages(answers.asked().prompt_of(answer)),
                        .sampling = std::move(sampling)});
  }
  return requests;
}

Finished finished_of(endpoint::Answer const& answer, Options const& options) {
  Finished finished{.error = answer.error, .model = answer.model};
  if (!answer.error.empty()) return finished;
  endpoint::Completion const& completion = answer.completions.at(0);
  switch (endpoint::ending(completion)) {
    case endpoint::Ending::stop: finished.finish = h5::Finish::stop; break;
    case endpoint::Ending::length: finished.finish = h5::Finish::length; break;
    case endpoint::Ending::withheld: finished.error = endpoint::why_withheld(completion); return finished;
  }
  finished.text = before_stop(completion.text, options.stop);
  return finished;
}

void FailureLog::add(AnswerKey const& key, Finished const& finished) {
  if (finished.failed() && failures_++ < most_logged) log_warning("no answer to " + key.name() + ": " + finished.error);
}

}  // namespace refrain::generate
