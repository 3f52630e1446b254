#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/batch_job.hpp>
#include <refrain/study/process.hpp>

#include <algorithm>
#include <chrono>
#include <thread>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Bytes of the rows that are kept for these outputs, finished or in parts. A part may become an output meanwhile.
int64_t kept_bytes(std::vector<fs::path> const& outs) {
  int64_t bytes = 0;
  auto const add = [&](fs::path const& file) {
    std::error_code gone;
    if (auto const size = fs::file_size(file, gone); !gone) bytes += static_cast<int64_t>(size);
  };
  for (auto const& out : outs) {
    add(out);
    std::error_code gone;
    for (fs::directory_iterator entry(out.string() + ".parts", gone), end; !gone && entry != end; entry.increment(gone))
      if (entry->path().filename() != "lock") add(entry->path());
  }
  return bytes;
}

/// Waits until no other job makes any of these outputs: every study wants the base's. Some are not locked if we are to
/// stop first.
std::vector<FolderLock> lock_outputs(RowsProgram const& program) {
  auto outs = program.outs;
  std::sort(outs.begin(), outs.end());  // in the order of all jobs: no two wait for each other
  std::vector<FolderLock> locks;
  std::string holder;
  for (auto const& out : outs) {
    bool said = false;
    while (!stop_requested()) {
      if (auto lock = FolderLock::try_acquire(out.string() + ".lock", holder)) {
        locks.push_back(std::move(*lock));
        break;
      }
      if (!said) log_line(program.what + " are being made by " + holder + ": waiting [" + out.string() + "]");
      said = true;
      std::this_thread::sleep_for(std::chrono::seconds(2));
    }
  }
  return locks;
}

}  // namespace

std::string BatchJob::id() const { return allocation ? allocation->id() : std::string{}; }

Exit BatchJob::go_on_later(Starts const& starts, std::string const& reached, fs::path const& work) const {
  if (!allocation) {
    log_line("stopped early at " + reached + "; the same command goes on from there");
    return Exit::stopped_early;
  }
  if (starts.stands_still())
    throw Error("two starts in a row have ended at " + reached + ", so the job is not requeued",
                "give it more time than start and --signal take: sbatch --time=4:00:00 " + script, {.file = work});
  log_line(put_back(*allocation, script));
  return Exit::stopped_early;
}

std::string exit_text(int code) {
  return "exit code " + std::to_string(code) + (code > 128 ? " (signal " + std::to_string(code - 128) + ")" : "");
}

fs::path program(std::string const& name) {
  return fs::read_symlink("/proc/self/exe").parent_path() / ("refrain-" + name);
}

Exit run_rows(BatchJob const& job, Launcher const& launcher, RowsProgram const& program) {
  auto const locks = lock_outputs(program);
  auto const& first = program.outs.front();
  Starts const starts(first);
  auto const record = [&](int code, Ending ending) {
    int64_t const bytes = kept_bytes(program.outs);
    starts.record(job.id(), join_words(launcher.before(program.line)), code, ending, {{"kept_bytes", bytes}});
    return format_bytes(static_cast<double>(bytes)) + " of " + program.what;
  };
  if (stop_requested())
    return job.go_on_later(starts, record(static_cast<int>(Exit::stopped_early), Ending::stopped_early), first);

  log_line(launcher.show(program.line));
  int const code = run_forwarding(launcher.before(program.line), launcher.variables);
  // Rows are safe once they are kept, so whatever became of ranks that were told to stop, they have stopped: with
  // --kill-on-bad-exit the last to exit with 85 may be killed.
  bool const stopped = code == static_cast<int>(Exit::stopped_early) || (code != 0 && stop_requested());
  auto const reached = record(code, code == 0 ? Ending::finished : stopped ? Ending::stopped_early : Ending::failed);
  if (code == 0) return Exit::success;
  if (stopped) return job.go_on_later(starts, reached, first);
  bool const refused = code == static_cast<int>(Exit::usage);
  throw Error("making " + program.what + " ended with " + exit_text(code),
              refused ? "its line above says why" : "its lines are above; the same command goes on with what is kept",
              {.file = first});
}

}  // namespace refrain::study
