#include "chat_requests.hpp"

#include "stop_texts.hpp"

#include <refrain/base/log.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace refrain::generate {
namespace {

constexpr int64_t most_logged = 3;

/// OpenAI's word for an answer that ended by itself, and those of text-generation-inference.
constexpr std::array<std::string_view, 3> ended{"stop", "eos_token", "stop_sequence"};

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
  auto const& [text, reason] = answer.completions.at(0);
  if (reason == "length")
    finished.finish = h5::Finish::length;
  else if (std::find(ended.begin(), ended.end(), reason) != ended.end())
    finished.finish = h5::Finish::stop;
  else
    finished.error = "the server ended the answer by itself (finish_reason " + endpoint::short_line(reason) + ")";
  if (!finished.failed()) finished.text = before_stop(text, options.stop);
  return finished;
}

void FailureLog::add(AnswerKey const& key, Finished const& finished) {
  if (finished.failed() && failures_++ < most_logged) log_warning("no answer to " + key.name() + ": " + finished.error);
}

}  // namespace refrain::generate
