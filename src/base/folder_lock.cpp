#include "lock_file.hpp"

#include <refrain/base/error.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/quiet_thread.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

// How a lock file changes hands. Absent -> held: by an exclusive create. Held by T -> anything else (taken over,
// released): only by who holds the claim on T, the lock file `path.T`. A claim bears the name of one holder's token, so
// a process that judged T dead and then slept cannot touch the lock of T's successor: under the claim it looks again.
// Claims themselves are lock files and are taken over by the same rule.
namespace refrain {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using lock_file::Holder;
using namespace std::chrono_literals;

constexpr auto heartbeat_interval = 2s;
constexpr double stale_after = 30;  ///< seconds without a heartbeat
constexpr auto short_watch = 5s;    ///< more than two heartbeats, where the file is old by the clocks as well
constexpr auto long_watch = 30s;

fs::path claim_on(fs::path const& path, Holder const& holder) { return path.string() + "." + holder.token; }

/// Watches a holder long enough to know. `patience` ends the watch early: alive then.
Life judge(fs::path const& path, Holder const& seen, Clock::time_point patience) {
  Life const process = process_life(seen.process);
  if (process == Life::dead) return Life::dead;
  // On this host a heartbeat that is old means a process that was stopped.
  if (process == Life::alive && seen.age < stale_after) return Life::alive;
  auto const enough = Clock::now() + (seen.age > stale_after ? short_watch : long_watch);
  while (Clock::now() < enough) {
    if (Clock::now() > patience) return Life::alive;
    std::this_thread::sleep_for(200ms);
    auto const now = lock_file::read(path);
    if (!now || now->token != seen.token || now->modified_ns != seen.modified_ns) return Life::alive;
  }
  return Life::dead;
}

/// Removes the lock file of `me`, unless somebody else has it.
void release(fs::path const& path, Holder const& me) {
  fs::path const claim = claim_on(path, me);
  Holder const claimer = Holder::myself();
  if (!lock_file::create(claim, claimer)) return;  // it is just being taken from us
  if (auto const now = lock_file::read(path); now && now->token == me.token) ::unlink(path.c_str());
  ::unlink(claim.c_str());
}

/// One attempt. Returns the holder that stands in the way, or nothing if `me` has the lock now.
std::optional<Holder> attempt(fs::path const& path, Holder const& me, Clock::time_point patience) {
  for (;;) {
    if (lock_file::create(path, me)) return std::nullopt;
    auto const holder = lock_file::read(path);
    if (!holder) continue;  // released just now
    if (judge(path, *holder, patience) == Life::alive) {
      auto const now = lock_file::read(path);
      if (!now) continue;
      return now;
    }
    fs::path const claim = claim_on(path, *holder);
    Holder const claimer = Holder::myself();
    if (auto const rival = attempt(claim, claimer, patience)) return rival;
    auto const again = lock_file::read(path);
    bool const ours = again && again->token == holder->token && again->modified_ns == holder->modified_ns;
    if (ours) lock_file::replace(path, me);
    ::unlink(claim.c_str());
    if (!ours) continue;
    log_warning("took over the lock of " + holder->description() + ", which is gone [" + path.string() + "]");
    return std::nullopt;
  }
}

Error refusal(fs::path const& path, Holder const& holder) {
  return Error("another job is at work here: " + holder.description(), "wait until it ends, or stop it",
               {.file = path});
}

}  // namespace

struct FolderLock::State {
  fs::path path;
  Holder me;
  std::mutex mutex;
  std::condition_variable wake;
  bool ending = false;
  std::thread heartbeat;

  State(fs::path where, Holder who) : path(std::move(where)), me(std::move(who)) {
    heartbeat = quiet_thread([this] { beat(); });
  }

  ~State() {
    {
      std::lock_guard const guard(mutex);
      ending = true;
    }
    wake.notify_all();
    heartbeat.join();
    try {
      release(path, me);
    } catch (std::exception const&) {
      // The next job finds a lock without a process and takes it over.
    }
  }

  void beat() {
    std::unique_lock guard(mutex);
    while (!wake.wait_for(guard, heartbeat_interval, [this] { return ending; })) {
      try {
        auto const now = lock_file::read(path);
        if (!now || now->token != me.token) return;  // lost: require_held says so
        ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
      } catch (std::exception const&) {
        // A file system that hiccups is not a lost lock; the next beat tries again.
      }
    }
  }
};

FolderLock::FolderLock(std::unique_ptr<State> state) : state_(std::move(state)) {}
FolderLock::FolderLock(FolderLock&&) noexcept = default;
FolderLock& FolderLock::operator=(FolderLock&&) noexcept = default;
FolderLock::~FolderLock() = default;

FolderLock FolderLock::acquire(fs::path const& path) {
  Holder me = Holder::myself();
  if (auto const holder = attempt(path, me, Clock::time_point::max())) throw refusal(path, *holder);
  return FolderLock(std::make_unique<State>(path, std::move(me)));
}

std::optional<FolderLock> FolderLock::try_acquire(fs::path const& path, std::string& holder) {
  Holder me = Holder::myself();
  if (auto const other = attempt(path, me, Clock::time_point::max())) {
    holder = other->description();
    return std::nullopt;
  }
  return FolderLock(std::make_unique<State>(path, std::move(me)));
}

FolderLock FolderLock::wait(fs::path const& path, double seconds) {
  auto const until = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  Holder me = Holder::myself();
  while (auto const holder = attempt(path, me, until)) {
    if (Clock::now() > until) throw refusal(path, *holder);
    std::this_thread::sleep_for(200ms);
  }
  return FolderLock(std::make_unique<State>(path, std::move(me)));
}

void FolderLock::require_held() const {
  auto const holder = lock_file::read(state_->path);
  if (holder && holder->token == state_->me.token) return;
  throw Error("this job was stopped for so long that its lock was taken" +
                  (holder ? " by " + holder->description() : std::string()),
              "start it again when the other one has ended", {.file = state_->path});
}

std::optional<LockSight> look_at_lock(fs::path const& path) {
  auto const holder = lock_file::read(path);
  if (!holder) return std::nullopt;
  return LockSight{
      .holder = holder->description(), .job = holder->job, .life = process_life(holder->process), .age = holder->age};
}

std::string watch_lock(fs::path const& path) {
  while (auto const seen = lock_file::read(path)) {
    auto const life = judge(path, *seen, Clock::time_point::max());
    auto const now = lock_file::read(path);
    if (now && now->token == seen->token) return life == Life::alive ? now->description() : std::string{};
  }
  return {};
}

}  // namespace refrain
