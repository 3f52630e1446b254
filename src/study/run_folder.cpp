#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/run_folder.hpp>

#include <csignal>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

constexpr int usr1_code = 128 + SIGUSR1;

/// From status.json.
Advance read_advance(Json const& object, fs::path const& file) {
  return {.step = json_get_or<int64_t>(object, "step", 0, file),
          .reference_batches = json_get_or<int64_t>(object, "reference_batches", 0, file)};
}

}  // namespace

std::string Advance::text() const {
  std::string const where = "step " + std::to_string(step);
  if (step > 0 || reference_batches == 0) return where;
  return where + ", after " + std::to_string(reference_batches) + (reference_batches == 1 ? " batch" : " batches") +
         " of the reference pass";
}

std::string RunFolder::text_of(std::string const& key) const {
  auto const file = path_ / "status.json";
  return fs::exists(file) ? json_get_or<std::string>(read_json(file), key, "", file) : std::string{};
}

std::string RunFolder::state() const { return text_of("state"); }

std::string RunFolder::error() const { return text_of("error"); }

Advance RunFolder::advance() const {
  auto const file = path_ / "status.json";
  return fs::exists(file) ? read_advance(read_json(file), file) : Advance{};
}

bool RunFolder::finished() const { return state() == "finished" && fs::exists(path_ / "final" / "manifest.json"); }

bool RunFolder::failed() const {
  auto const now = state();
  return now == "failed" || (now.empty() && starts().failed_last());
}

bool RunFolder::pruned() const { return state() == "finished" && fs::exists(path_ / "pruned.json"); }

std::string RunFolder::status_text() const {
  auto const file = path_ / "status.json";
  return fs::exists(file) ? read_file(file) : std::string{};
}

Ending RunFolder::classify(int exit_code, std::string const& status_before) const {
  if (exit_code == 0) return Ending::finished;
  if (exit_code == static_cast<int>(Exit::stopped_early)) return Ending::stopped_early;
  if (state() == "stopped" && status_text() != status_before) return Ending::stopped_early;
  // SIGUSR1 met ranks that had not yet come to their handlers.
  if (stop_requested() && exit_code == usr1_code) return Ending::stopped_early;
  return Ending::failed;
}

void RunFolder::mark_failed(std::string const& error) const try {
  auto const file = path_ / "status.json";
  if (!fs::is_directory(path_) || state() == "failed") return;
  auto const lock = FolderLock::acquire(path_ / "lock");
  Json status{{"state", ""}, {"step", 0}};
  if (fs::exists(file)) status = read_sealed_json(file);
  status["state"] = "failed";
  status["error"] = error;
  write_sealed_json(file, status);
} catch (Error const& problem) {
  log_warning("status.json does not say that the run failed: " + std::string(problem.what()));
}

void RunFolder::record_start(std::string const& job, std::string const& command, int exit_code, Ending ending) const {
  auto const reached = advance();
  starts().record(job, command, exit_code, ending,
                  {{"step", reached.step}, {"reference_batches", reached.reference_batches}});
}

}  // namespace refrain::study
