#include <refrain/base/activity.hpp>
#include <refrain/base/counted.hpp>
#include <refrain/base/log.hpp>
#include <refrain/endpoint/ask.hpp>
#include <refrain/endpoint/key.hpp>
#include <refrain/endpoint/reply.hpp>
#include <refrain/endpoint/url.hpp>

#include "transfers.hpp"

#include <algorithm>
#include <chrono>
#include <queue>
#include <utility>
#include <vector>

namespace refrain::endpoint {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double stop_interval = 0.1;   // seconds between two questions whether to stop
constexpr double remark_interval = 30;  // seconds between two lines about retries
constexpr int64_t most_suspects = 3;    // requests that may use up their tries with no answer between them

Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}
double seconds_of(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

/// What a server is asked to learn whether it still answers anything.
Request short_question() {
  return {.custom_id = "does the server answer", .messages = {{"user", "Hello"}}, .sampling = {.max_tokens = 1}};
}

/// One run over requests.
class Asking {
public:
  Asking(Options const& options, std::span<Request const> requests, OnAnswer const& on_answer, Server server)
      : options_(options),
        requests_(requests),
        on_answer_(on_answer),
        url_(Url::parse(options.url)),
        key_(ApiKey::for_url(url_, options.insecure)),
        server_(server),
        transfers_(url_, key_, options.timeout),
        tries_(requests.size() + 1) {
    RequestIndex const every_id_once(requests);
    tally_.total = std::ssize(requests);
  }

  Tally run(std::function<bool()> const& should_stop) {
    while (tally_.left() > 0) {
      if (should_stop()) return tally_;
      note_activity();  // waiting for a server is no hang: each try has its timeout
      start_requests();
      for (auto const& [request, reply] : transfers_.wait(seconds_to_wait())) finish(request, reply);
      if (suspects_are_many()) question_server();
    }
    return tally_;
  }

private:
  struct Waiting {
    Clock::time_point due;
    std::size_t request;
    bool operator>(Waiting const& other) const noexcept {
      return std::pair(due, request) > std::pair(other.due, other.request);
    }
  };

  /// Fills the free places: first those whose pause is over, then new ones.
  void start_requests() {
    while (transfers_.running() < static_cast<std::size_t>(options_.concurrency)) {
      auto const now = Clock::now();
      if (now < paused_until_) return;
      std::size_t request = 0;
      if (!waiting_.empty() && waiting_.top().due <= now) {
        request = waiting_.top().request;
        waiting_.pop();
      } else if (next_ < requests_.size()) {
        request = next_++;
      } else {
        return;
      }
      ++tries_[request];
      transfers_.start(request, request_text(request_of(request), options_.target()));
    }
  }

  double seconds_to_wait() const {
    auto until = Clock::now() + duration_of(stop_interval);
    bool const place_free = transfers_.running() < static_cast<std::size_t>(options_.concurrency);
    if (place_free && !waiting_.empty()) until = std::min(until, std::max(waiting_.top().due, paused_until_));
    return std::max(0.0, seconds_of(until - Clock::now()));
  }

  void finish(std::size_t request, Reply const& reply) {
    Verdict verdict = judge(reply, request_of(request), key_, options_.timeout);
    switch (verdict.fate) {
      case Fate::answered: return report(request, std::move(verdict.answer));
      case Fate::refused: return report(request, failure(request, std::move(verdict.reason)));
      case Fate::hopeless: throw Error(verdict.reason, verdict.remedy, {.object = url_.completions});
      case Fate::again: return try_again(request, verdict, reply.retry_after);
    }
  }

  void try_again(std::size_t request, Verdict const& verdict, double retry_after) {
    int const tries = tries_[request];
    if (tries >= options_.tries && request == question()) {
      questioned_ = false;
      if (suspects_are_many()) throw server_is_gone();
      return;
    }
    if (tries >= options_.tries) {
      suspects_.push_back(
          failure(request, tries == 1 ? verdict.reason
                                      : verdict.reason + ", at the last of " + std::to_string(tries) + " tries"));
      return;
    }
    double const pause = pause_after(tries, options_.backoff, retry_after, request_of(request).custom_id);
    auto const due = Clock::now() + duration_of(pause);
    waiting_.push({due, request});
    if (verdict.overloaded) paused_until_ = std::max(paused_until_, due);
    if (request == question()) return;
    ++tally_.retries;
    remark(request, verdict.reason);
  }

  /// Whether it may be the server, and not these requests.
  bool suspects_are_many() const {
    return !suspects_.empty() && std::ssize(suspects_) >= std::min(most_suspects, tally_.left());
  }

  void question_server() {
    if (server_ == Server::unproven) throw server_is_gone();
    if (std::exchange(questioned_, true)) return;
    tries_[question()] = 0;
    waiting_.push({Clock::now(), question()});
  }

  /// The question whether the server answers anything has the number behind the last request's.
  std::size_t question() const { return requests_.size(); }
  Request const& request_of(std::size_t request) const {
    return request == question() ? short_question_ : requests_[request];
  }

  /// Says why tries are made again, but not for each.
  void remark(std::size_t request, std::string const& reason) {
    auto const now = Clock::now();
    if (now < next_remark_) return;
    next_remark_ = now + duration_of(remark_interval);
    log_line("endpoint: " + reason + " (request " + requests_[request].custom_id + "; " +
             counted(tally_.retries, "retry", "retries") + " so far)");
  }

  Error server_is_gone() const {
    return Error("the server gives no answers: " + suspects_.front().error,
                 "check that it runs, and its log; --endpoint-tries and --endpoint-timeout give it more time",
                 {.object = url_.completions});
  }

  Answer failure(std::size_t request, std::string reason) const {
    return {.custom_id = request_of(request).custom_id, .error = std::move(reason)};
  }

  void report(std::size_t request, Answer answer) {
    if (request == question()) {
      questioned_ = false;
    } else {
      count(answer);
      on_answer_(std::move(answer), tally_);
    }
    server_ = Server::has_answered;
    report_suspects();  // the server lives, so that they failed by themselves
  }

  void report_suspects() {
    for (Answer& suspect : std::exchange(suspects_, {})) {
      count(suspect);
      on_answer_(std::move(suspect), tally_);
    }
  }

  void count(Answer const& answer) { ++(answer.error.empty() ? tally_.answered : tally_.failed); }

  Options const& options_;
  std::span<Request const> const requests_;
  OnAnswer const& on_answer_;
  Url const url_;
  ApiKey const key_;
  Request const short_question_ = short_question();
  Server server_;
  bool questioned_ = false;  ///< the short question is under way
  Transfers transfers_;
  std::vector<int> tries_;  ///< of each request, that under way included; last of the short question
  std::size_t next_ = 0;    ///< the first request that was never tried
  std::priority_queue<Waiting, std::vector<Waiting>, std::greater<>> waiting_;
  Clock::time_point paused_until_{}, next_remark_{};
  std::vector<Answer> suspects_;  ///< out of tries since the server's last answer; not counted yet
  Tally tally_;
};

}  // namespace

Tally ask(Options const& options, std::span<Request const> requests, OnAnswer const& on_answer,
          std::function<bool()> const& should_stop, Server server) {
  return Asking(options, requests, on_answer, server).run(should_stop);
}

}  // namespace refrain::endpoint
