#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/settings.hpp>
#include <refrain/study/status.hpp>

#include <chrono>
#include <iostream>
#include <thread>

#include <sys/ioctl.h>
#include <unistd.h>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Columns of the terminal that we print to; 0 where it is none.
std::size_t terminal_width() {
  winsize size{};
  if (isatty(STDOUT_FILENO) != 1 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

std::vector<fs::path> folders_of(Options const& options) {
  if (!options.names.empty()) return {options.names.begin(), options.names.end()};
  auto const runs = value_of(current_environment(), "REFRAIN_RUNS");
  if (runs.empty())
    throw UsageError("no folder is named", "set REFRAIN_RUNS, or give folders: refrain-study status runs");
  return {runs};
}

/// What the queue says within ten seconds; nothing, and a warning, where it does not answer.
Queue queue_now() try { return ask_queue(10); } catch (Error const& error) {
  log_warning(error.problem() + ": states are told from files alone");
  return {};
}

void print(Options const& options, std::vector<RunSummary> const& runs, Queue const& queue) {
  if (options.json) {
    auto list = Json::array();
    for (auto const& run : runs) list.push_back(run.json());
    std::cout << dump_text(list, options.watch ? -1 : 2) << "\n" << std::flush;  // watched: a line each time
    return;
  }
  auto const width = terminal_width();
  // On a terminal each look replaces the one before; in a file they follow each other.
  if (options.watch) std::cout << (width > 0 ? "\033[H\033[2J" : "") << utc_now() << "\n";
  std::cout << status_table(runs, width);
  if (auto const jobs = queue_text(queue); !jobs.empty()) std::cout << "in the queue: " << jobs << "\n";
  std::cout << std::flush;
}

}  // namespace

Exit run_status(Options const& options) {
  auto const folders = folders_of(options);
  if (options.watch) install_stop_handlers();
  for (;;) {
    auto const queue = queue_now();
    auto const runs = summarize_runs(folders, queue);
    print(options, runs, queue);
    if (!options.html.empty()) {
      make_folders(options.html);
      write_file_atomically(options.html / "index.html", status_page(runs, utc_now()));
    }
    if (!options.watch) return Exit::success;
    auto const next = std::chrono::steady_clock::now() + std::chrono::duration<double>(options.interval);
    while (std::chrono::steady_clock::now() < next && !stop_requested())
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (stop_requested()) return Exit::success;
  }
}

}  // namespace refrain::study
