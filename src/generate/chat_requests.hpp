#pragma once

#include "answers.hpp"

#include <refrain/endpoint/chat.hpp>
#include <refrain/generate/options.hpp>

#include <cstdint>
#include <vector>

namespace refrain::generate {

/// What a server's answer depends on beside its prompt. Not the server's address: a model that moves to another node
/// stays the same.
Json chat_settings(Options const& options);

/// Requests for the answers `wanted`, in their order: one each, sample s with the seed --seed + s.
std::vector<endpoint::Request> chat_requests(Options const& options, Answers const& answers,
                                             std::vector<int64_t> const& wanted);

/// What the server's answer is to us: a text that ends before the first --stop text, or a failure; also where the
/// server withheld or broke off its answer.
Finished finished_of(endpoint::Answer const& answer, Options const& options);

/// Says in the log why a request failed, for the first few alone: the last line of the job counts them.
class FailureLog {
public:
  void add(AnswerKey const& key, Finished const& finished);

private:
  int64_t failures_ = 0;
};

}  // namespace refrain::generate
