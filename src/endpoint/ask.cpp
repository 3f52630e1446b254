#include <refrain/base/activity.hpp>
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

constexpr double stop_interval = 0.1;     // seconds between two questions whether to stop
constexpr double remark_interval = 30;    // seconds between two lines about retries
constexpr std::size_t most_suspects = 3;  // requests that may use up their tries with no answer between them

Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}
double seconds_of(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

/// One run over requests.
class Asking {
public:
  Asking(Options const& options, std::span<Request const> requests, OnAnswer const& on_answer)
      : options_(options),
        requests_(requests),
        on_answer_(on_answer),
        url_(Url::parse(options.url)),
        key_(ApiKey::for_url(url_, options.insecure)),
        transfers_(url_, key_, options.timeout),
        tries_(requests.size()) {
    RequestIndex const every_id_once(requests);
    tally_.total = std::ssize(requests);
  }

  Tally run(std::function<bool()> const& should_stop) {
    while (tally_.left() > std::ssize(suspects_)) {
      if (should_stop()) return tally_;
      note_activity();  // waiting for a server is no hang: each try has its timeout
      start_requests();
      for (auto const& [request, reply] : transfers_.wait(seconds_to_wait())) finish(request, reply);
    }
    if (!suspects_.empty() && tally_.left() == tally_.total) throw server_is_gone();
    report_suspects();
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
      transfers_.start(request, request_text(requests_[request], options_.target()));
    }
  }

  double seconds_to_wait() const {
    auto until = Clock::now() + duration_of(stop_interval);
    bool const place_free = transfers_.running() < static_cast<std::size_t>(options_.concurrency);
    if (place_free && !waiting_.empty()) until = std::min(until, std::max(waiting_.top().due, paused_until_));
    return std::max(0.0, seconds_of(until - Clock::now()));
  }

  void finish(std::size_t request, Reply const& reply) {
    Verdict verdict = judge(reply, requests_[request], key_, options_.timeout);
    switch (verdict.fate) {
      case Fate::answered: return report(std::move(verdict.answer));
      case Fate::refused: return report(failure(request, std::move(verdict.reason)));
      case Fate::hopeless: throw Error(verdict.reason, verdict.remedy, {.object = url_.completions});
      case Fate::again: return try_again(request, verdict, reply.retry_after);
    }
  }

  void try_again(std::size_t request, Verdict const& verdict, double retry_after) {
    int const tries = tries_[request];
    if (tries >= options_.tries) {
      suspects_.push_back(
          failure(request, tries == 1 ? verdict.reason
                                      : verdict.reason + ", at the last of " + std::to_string(tries) + " tries"));
      if (suspects_.size() >= most_suspects) throw server_is_gone();
      return;
    }
    double const pause = pause_after(tries, options_.backoff, retry_after, requests_[request].custom_id);
    auto const due = Clock::now() + duration_of(pause);
    waiting_.push({due, request});
    if (verdict.overloaded) paused_until_ = std::max(paused_until_, due);
    ++tally_.retries;
    remark(request, verdict.reason);
  }

  /// Says why tries are made again, but not for each.
  void remark(std::size_t request, std::string const& reason) {
    auto const now = Clock::now();
    if (now < next_remark_) return;
    next_remark_ = now + duration_of(remark_interval);
    log_line("endpoint: " + reason + " (request " + requests_[request].custom_id + "; " +
             std::to_string(tally_.retries) + (tally_.retries == 1 ? " retry" : " retries") + " so far)");
  }

  Error server_is_gone() const {
    return Error("the server gives no answers: " + suspects_.front().error,
                 "check that it runs, and its log; --endpoint-tries and --endpoint-timeout give it more time",
                 {.object = url_.completions});
  }

  Answer failure(std::size_t request, std::string reason) const {
    return {.custom_id = requests_[request].custom_id, .error = std::move(reason)};
  }

  void report(Answer answer) {
    count(answer);
    on_answer_(std::move(answer), tally_);
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
  Transfers transfers_;
  std::vector<int> tries_;  ///< of each request, that under way included
  std::size_t next_ = 0;    ///< the first request that was never tried
  std::priority_queue<Waiting, std::vector<Waiting>, std::greater<>> waiting_;
  Clock::time_point paused_until_{}, next_remark_{};
  std::vector<Answer> suspects_;  ///< out of tries since the server's last answer; not counted yet
  Tally tally_;
};

}  // namespace

Tally ask(Options const& options, std::span<Request const> requests, OnAnswer const& on_answer,
          std::function<bool()> const& should_stop) {
  return Asking(options, requests, on_answer).run(should_stop);
}

}  // namespace refrain::endpoint
