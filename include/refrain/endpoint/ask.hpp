#pragma once

#include <refrain/endpoint/chat.hpp>
#include <refrain/endpoint/options.hpp>

#include <cstdint>
#include <functional>
#include <span>

namespace refrain::endpoint {

/// How far a run over requests has come.
struct Tally {
  int64_t total = 0, answered = 0, failed = 0;
  int64_t retries = 0;  ///< tries that were made again, of all requests

  int64_t left() const noexcept { return total - answered - failed; }
};

/// Called once for each request that has come to its end, in the order of arrival, on the thread that asks. What it
/// throws ends the run.
using OnAnswer = std::function<void(Answer, Tally const&)>;

/// What is known of a server before it is asked.
enum class Server {
  unproven,
  has_answered,  ///< requests of this job, at an earlier start
};

/// Asks the server of `options` for the answers to `requests`, `options.concurrency` at once, each again after a pause
/// as `judge` says, up to `options.tries` times. A request that fails for good is an Answer with an error, and the
/// others go on. `should_stop` is asked at least ten times a second; once it is true, what is under way is given up and
/// the function returns with requests left. With several ranks, each asks for its own requests.
///
/// Where three requests use up their tries with no answer between them, or all do where there are fewer, it is the
/// server or they. If it has answered before, in this run or an earlier one, it is asked for a single token of an
/// answer to a message of one word: if that is answered, they have failed.
/// @throws Error where no request would fare better (a key that is not taken, a URL without a server), and where the
/// server has gone: it never answered, or does not answer that message. Those requests are then left, not failed: a
/// later run can ask for them again.
Tally ask(Options const& options, std::span<Request const> requests, OnAnswer const& on_answer,
          std::function<bool()> const& should_stop, Server server = Server::unproven);

}  // namespace refrain::endpoint
