#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/batch_job.hpp>
#include <refrain/study/work.hpp>

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

fs::path program(std::string const& name) {
  return fs::read_symlink("/proc/self/exe").parent_path() / ("refrain-" + name);
}

Exit run_rows(BatchJob const& job, Launcher const& launcher, RowsProgram const& program) {
  auto const locks = lock_outputs(program);
  auto const& first = program.outs.front();
  auto const reached = [&] {
    int64_t const bytes = kept_bytes(program.outs);
    return Reached{{{"kept_bytes", bytes}}, format_bytes(static_cast<double>(bytes)) + " of " + program.what};
  };
  // Rows are safe once they are kept, so whatever became of ranks that were told to stop, they have stopped: with
  // --kill-on-bad-exit the last to exit with 85 may be killed.
  auto const stopped = [](int code) {
    return code == static_cast<int>(Exit::stopped_early) || (code != 0 && stop_requested());
  };
  return perform(job, launcher,
                 {.what = "making " + program.what,
                  .line = program.line,
                  .path = first,
                  .kept = "with what is kept",
                  .reached = reached,
                  .stopped = stopped});
}

}  // namespace refrain::study
