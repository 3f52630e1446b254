#include <refrain/base/counted.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/file.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/run_folder.hpp>

#include <chrono>
#include <csignal>
#include <optional>
#include <thread>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

constexpr int usr1_code = 128 + SIGUSR1;

/// Whether the disk has no room for as much as a lock and a status.
bool is_full(fs::path const& folder) {
  constexpr uintmax_t enough = 1 << 16;
  std::error_code problem;
  auto const space = fs::space(folder, problem);
  return !problem && space.available < enough;
}

/// Writes a file in the room that it has already. Not atomic: who reads half of it finds its seal broken.
void write_over(fs::path const& path, std::string const& text) {
  File file(path, File::Mode::update);
  if (!file.is_open() || !file.write_all(text) || !file.set_length(static_cast<int64_t>(text.size())) || !file.sync() ||
      !file.close())
    throw system_error("write the file", {}, {.file = path});
}

/// From status.json.
Advance read_advance(Json const& object, fs::path const& file) {
  return {.step = json_get_or<int64_t>(object, "step", 0, file),
          .reference_batches = json_get_or<int64_t>(object, "reference_batches", 0, file)};
}

}  // namespace

std::string Advance::text() const {
  std::string const where = "step " + std::to_string(step);
  if (step > 0 || reference_batches == 0) return where;
  return where + ", after " + counted(reference_batches, "batch", "batches") + " of the reference pass";
}

std::string RunFolder::text_of(std::string const& key) const {
  auto const file = path_ / "status.json";
  return fs::exists(file) ? json_get_or<std::string>(read_json(file), key, "", file) : std::string{};
}

std::string RunFolder::state() const { return text_of("state"); }

std::string RunFolder::error() const {
  return fs::exists(path_ / "status.json") ? text_of("error") : Starts(path_).last_failure();
}

Advance RunFolder::advance() const {
  auto const file = path_ / "status.json";
  return fs::exists(file) ? read_advance(read_json(file), file) : Advance{};
}

bool RunFolder::finished() const { return state() == "finished" && fs::exists(path_ / "final" / "manifest.json"); }

bool RunFolder::failed() const {
  auto const now = state();
  return now == "failed" || (now.empty() && Starts(path_).failed_last());
}

bool RunFolder::pruned() const { return state() == "finished" && fs::exists(path_ / "pruned.json"); }

std::string RunFolder::status_text() const {
  auto const file = path_ / "status.json";
  return fs::exists(file) ? read_file(file) : std::string{};
}

std::string RunFolder::worker() const { return watch_lock(path_ / "lock"); }

void RunFolder::wait_for_ranks_of(std::string const& job) const {
  auto const file = path_ / "lock";
  if (!fs::exists(file)) return;
  std::string holder;
  for (bool said = false; !stop_requested(); said = true) {
    if (FolderLock::try_acquire(file, holder)) return;
    if (job.empty() || holder.find("Slurm job " + job + ",") == std::string::npos) {
      static_cast<void>(FolderLock::acquire(file));  // refuses, unless the other has ended just now
      return;
    }
    if (!said) log_line("ranks of an earlier start are at work: " + holder + ": waiting [" + path_.string() + "]");
    std::this_thread::sleep_for(std::chrono::seconds(2));
  }
}

bool RunFolder::has_stopped(int exit_code, std::string const& status_before) const {
  if (exit_code == static_cast<int>(Exit::stopped_early)) return true;
  if (state() == "stopped" && status_text() != status_before) return true;
  // SIGUSR1 met ranks that had not yet come to their handlers.
  return stop_requested() && exit_code == usr1_code;
}

void RunFolder::tell(Ending ending, std::string const& error, std::string const& status_before) const try {
  auto const file = path_ / "status.json";
  if (ending == Ending::lost) make_folders(path_);
  if (!fs::is_directory(path_)) return;
  bool const said = state() == "failed" && status_text() != status_before;
  if (said && error.find(this->error()) == std::string::npos) return;
  std::optional<FolderLock> lock;
  bool const full = is_full(path_);
  if (!full) lock = FolderLock::acquire(path_ / "lock");
  Json status{{"state", ""}, {"step", 0}};
  if (fs::exists(file)) status = read_sealed_json(file);
  status["state"] = ending == Ending::failed ? "failed" : "stopped";
  status["error"] = error;
  if (full)
    write_over(file, sealed_json(status));
  else
    write_sealed_json(file, status);
} catch (Error const& problem) {
  log_warning("status.json does not say why the run ended: " + std::string(problem.what()));
}

void RunFolder::tell_refused(std::string const& job, std::string const& command, Error const& error) const try {
  if (!worker().empty()) return;
  make_folders(path_.parent_path());
  Starts(path_).record(job, command, static_cast<int>(error.exit_code()), Ending::failed, reached().numbers,
                       error.problem());
  tell(Ending::failed, error.problem(), status_text());
} catch (Error const& problem) {
  log_warning("the record of starts does not say why the job ended: " + std::string(problem.what()));
}

Reached RunFolder::reached() const {
  auto const advance = this->advance();
  return {{{"step", advance.step}, {"reference_batches", advance.reference_batches}}, advance.text()};
}

}  // namespace refrain::study
