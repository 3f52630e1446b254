#include <refrain/base/activity.hpp>
#include <refrain/base/file.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/launch.hpp>
#include <refrain/base/process.hpp>
#include <refrain/base/quiet_thread.hpp>
#include <refrain/comm/watchdog.hpp>

#include "waiting.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <unistd.h>

namespace refrain::comm {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point then) { return std::chrono::duration<double>(Clock::now() - then).count(); }
void sleep_seconds(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

/// What a rank wrote last, and when this rank saw it change. Times are taken here, since clocks of hosts differ.
struct Sight {
  bool present = false;
  int64_t beats = -1;
  double quiet = 0;      ///< seconds without progress, by the rank itself when it wrote
  bool waiting = false;  ///< in MPI for the others
  std::string doing;
  ProcessId process;
  Clock::time_point beat_changed = Clock::now();
};

}  // namespace

struct Watchdog::State {
  Communicator world;
  fs::path folder;
  double timeout, interval;
  double silence;  ///< seconds without a beat that mean a stopped process and not a busy machine
  ProcessId me = ProcessId::myself();

  std::mutex mutex;
  std::condition_variable wake;
  bool ending = false;
  std::string doing = "starting";
  Clock::time_point last_step = Clock::now();

  std::vector<Sight> sights;  // of the thread alone, as are beats and the rest
  int64_t beats = 0, seen_activity = 0;
  bool watching = false;
  std::thread thread;

  State(Communicator const& all, fs::path where, double seconds)
      : world(all),
        folder(std::move(where)),
        timeout(seconds),
        interval(std::clamp(seconds / 10, 0.1, 60.0)),
        silence(std::max(3 * interval, seconds / 2)) {}

  fs::path file_of(int rank) const { return folder / ("rank-" + std::to_string(rank)); }

  /// A few ranks watch for all, spread over the nodes, so that big jobs do not read every file from every rank.
  bool is_observer() const {
    int const n = world.size(), r = world.rank();
    return n <= 8 || r == 0 || r == n / 3 || r == 2 * n / 3 || r == n - 1;
  }

  void write_beat() {
    Json json = me.json();
    {
      std::lock_guard const guard(mutex);
      if (int64_t const now = activity(); std::exchange(seen_activity, now) != now) last_step = Clock::now();
      json["doing"] = doing;
      json["quiet"] = seconds_since(last_step);
    }
    json["waiting"] = Waiting::now();
    json["beats"] = ++beats;
    // No fsync: a heartbeat need not survive anything. The rename keeps readers from half a file; where the disk is
    // full, the last whole heartbeat stays.
    fs::path const temporary = file_of(world.rank()).string() + ".tmp";
    File file(temporary, File::Mode::replace);
    std::error_code ignored;
    if (file.is_open() && file.write_all(dump_text(json)) && file.close())
      fs::rename(temporary, file_of(world.rank()), ignored);
    else
      fs::remove(temporary, ignored);
  }

  void look_at(int rank) {
    Sight& sight = sights[static_cast<std::size_t>(rank)];
    std::ifstream file(file_of(rank));
    Json const json = file ? Json::parse(file, nullptr, false) : Json();
    sight.present = json.is_object();
    if (!sight.present) return;
    auto const beat = json.value("beats", int64_t{0});
    if (beat != sight.beats) sight.beat_changed = Clock::now();
    sight.beats = beat;
    sight.waiting = json.value("waiting", false);
    sight.quiet = json.value("quiet", 0.0);
    sight.doing = json.value("doing", std::string());
    sight.process = ProcessId::from_json(json);
  }

  /// The rank that holds up the others, or nothing while any rank gets somewhere. A rank that does not even beat was
  /// stopped or lost its node; then comes one that does not wait for others; then whose progress lies back furthest.
  std::optional<int> culprit() const {
    std::optional<int> worst;
    double worst_score = 0;
    for (int r = 0; r < world.size(); ++r) {
      Sight const& sight = sights[static_cast<std::size_t>(r)];
      if (!sight.present) continue;  // done, and waiting at the end
      double const silent = seconds_since(sight.beat_changed);
      bool const stopped = silent > silence;
      double const quiet = sight.quiet + silent;
      if (!stopped && quiet < timeout) return std::nullopt;
      double const score = quiet + (stopped ? 2e9 : sight.waiting ? 0 : 1e9);
      if (!worst || score > worst_score) worst = r, worst_score = score;
    }
    return worst;
  }

  /// Only the first that notices speaks.
  bool claim_voice() const { return File(folder / "hang", File::Mode::create_new).is_open() || errno != EEXIST; }

  [[noreturn]] void end_job(int rank) {
    Sight const& sight = sights[static_cast<std::size_t>(rank)];
    bool const stopped = seconds_since(sight.beat_changed) > silence;
    if (claim_voice()) {
      std::string const person =
          " (host " + sight.process.host + ", process " + std::to_string(sight.process.pid) + ")";
      std::string const what =
          stopped ? "stopped answering" : "got no further for " + std::to_string(std::lround(timeout)) + " s";
      print_error(program_invocation_short_name,
                  Error(what + " in: " + sight.doing + person + "; all ranks end now",
                        stopped ? "look at that node; start again to go on from the last checkpoint"
                                : "look at that rank, or give --timeout more seconds",
                        {.rank = rank}));
      sleep_seconds(0.3);
      int started = 0;
      MPI_Initialized(&started);
      // From a thread beside MPI's, which is against the letter of FUNNELED: the working thread may never come back.
      if (started) MPI_Abort(MPI_COMM_WORLD, static_cast<int>(Exit::failure));
    }
    // Where the launcher does not end the others by itself, everyone ends, and the stopped one with them.
    sleep_seconds(3);
    if (stopped && process_life(sight.process) == Life::alive) ::kill(static_cast<pid_t>(sight.process.pid), SIGKILL);
    ::_exit(static_cast<int>(Exit::failure));
  }

  void run() {
    std::unique_lock guard(mutex);
    auto last_turn = Clock::now();
    while (!wake.wait_for(guard, std::chrono::duration<double>(interval), [this] { return ending; })) {
      double const own_quiet = seconds_since(last_step);
      guard.unlock();
      // This process itself was stopped, perhaps with all others (a suspended job): nobody is to blame.
      if (seconds_since(last_turn) > 5 * interval) watching = false, forgive();
      last_turn = Clock::now();
      try {
        turn(own_quiet);
      } catch (std::exception const&) {
        // A file system that hiccups is no hang.
      }
      guard.lock();
    }
  }

  void forgive() {
    std::lock_guard const guard(mutex);
    last_step = Clock::now();
  }

  void turn(double own_quiet) {
    write_beat();
    if (own_quiet < timeout / 2 || !is_observer()) {
      watching = false;
      if (own_quiet > timeout && fs::exists(folder / "hang"))
        sleep_seconds(5), ::_exit(static_cast<int>(Exit::failure));
      return;
    }
    if (!std::exchange(watching, true)) sights.assign(static_cast<std::size_t>(world.size()), Sight{});
    for (int r = 0; r < world.size(); ++r) look_at(r);
    if (own_quiet < timeout) return;
    if (auto const rank = culprit()) end_job(*rank);
  }
};

Watchdog::Watchdog(Communicator const& world, fs::path const& folder, double timeout_seconds) {
  if (timeout_seconds <= 0) return;
  state_ = std::make_unique<State>(world, folder / ".heartbeat", timeout_seconds);
  agree(world, [&] {
    if (world.rank() != 0) return;
    fs::remove_all(state_->folder);
    make_folders(state_->folder);
  });
  agree(world, [&] { state_->write_beat(); });
  state_->thread = quiet_thread([state = state_.get()] { state->run(); });
}

Watchdog::~Watchdog() {
  if (!state_) return;
  {
    std::lock_guard const guard(state_->mutex);
    state_->ending = true;
  }
  state_->wake.notify_all();
  state_->thread.join();
  std::error_code ignored;
  fs::remove(state_->file_of(state_->world.rank()), ignored);
  fs::remove(state_->folder, ignored);  // works for the last one
}

void Watchdog::progress(std::string const& doing) {
  if (!state_) return;
  std::lock_guard const guard(state_->mutex);
  state_->doing = doing;
  state_->last_step = Clock::now();
}

}  // namespace refrain::comm
