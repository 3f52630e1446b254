#include <refrain/checkpoint/step_folders.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/checkpoint/checkpoint.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace refrain::checkpoint {

namespace {

namespace fs = std::filesystem;

std::optional<int64_t> step_of(std::string const& name) {
  int64_t step = 0;
  if (!name.starts_with("step-")) return std::nullopt;
  auto const [end, failed] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
  if (failed != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return step;
}

/// Everything but the digests of slices, which would mean to read all of it. Warns and returns false if it is damaged.
bool is_sound(fs::path const& folder) {
  try {
    Checkpoint(folder).check_structure();
    return true;
  } catch (Error const& error) {
    log_warning("passing over " + folder.filename().string() + ": " + error.what());
    return false;
  }
}

bool verifies(fs::path const& folder) {
  try {
    Checkpoint(folder).verify();
    return true;
  } catch (Error const& error) {
    log_warning(folder.filename().string() + " does not verify: " + error.what());
    return false;
  }
}

}  // namespace

void remove_folder(fs::path const& folder) {
  auto const doomed = fs::path(folder.string() + ".tmp");
  std::error_code failed;
  fs::remove_all(doomed, failed);
  rename_durably(folder, doomed);
  fs::remove_all(doomed, failed);
  if (failed) throw Error("cannot remove the folder: " + failed.message(), "remove it by hand", {.file = doomed});
}

StepFolders::StepFolders(fs::path run_dir) : run_dir_(std::move(run_dir)) {}

fs::path StepFolders::folder(int64_t step) const {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  return run_dir_ / "checkpoints" / name;
}

fs::path StepFolders::final_folder() const { return run_dir_ / "final"; }

std::vector<int64_t> StepFolders::steps() const {
  std::vector<int64_t> steps;
  std::error_code failed;
  for (fs::directory_iterator entry(run_dir_ / "checkpoints", failed), end; !failed && entry != end;
       entry.increment(failed))
    if (auto const step = step_of(entry->path().filename().string())) steps.push_back(*step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::optional<int64_t> StepFolders::newest_sound() const {
  auto const all = steps();
  for (auto step = all.rbegin(); step != all.rend(); ++step)
    if (is_sound(folder(*step))) return *step;
  return std::nullopt;
}

bool StepFolders::finished() const { return fs::exists(final_folder()) && is_sound(final_folder()); }

void StepFolders::prepare() const {
  auto const checkpoints = run_dir_ / "checkpoints";
  make_folders(checkpoints);
  std::vector<fs::path> stale{run_dir_ / "final.tmp"};
  for (auto const& entry : fs::directory_iterator(checkpoints))
    if (entry.path().extension() == ".tmp") stale.push_back(entry.path());
  for (auto const& path : stale) {
    std::error_code failed;
    fs::remove_all(path, failed);
    if (failed)
      throw Error("cannot remove what a killed run left: " + failed.message(), "remove it by hand", {.file = path});
  }
}

void StepFolders::remove_after(int64_t step) const {
  for (auto const found : steps())
    if (found > step) remove_folder(folder(found));
}

void StepFolders::committed(int64_t step, int keep) const {
  replace_symlink(folder(step).filename(), run_dir_ / "checkpoints" / "latest");
  auto const all = steps();
  auto const most = static_cast<std::size_t>(std::max(keep, 1));
  if (all.size() <= most) return;
  // Older ones go only if one of those that stay is sound; else the newest that is stays too.
  bool sound = std::any_of(all.end() - static_cast<std::ptrdiff_t>(most), all.end(),
                           [&](int64_t kept) { return is_sound(folder(kept)); });
  for (auto old = all.rbegin() + static_cast<std::ptrdiff_t>(most); old != all.rend(); ++old)
    if (!sound && is_sound(folder(*old)))
      sound = true;
    else
      remove_folder(folder(*old));
}

void StepFolders::committed_final() const {
  if (!verifies(final_folder()))
    throw Error("final/ does not verify; the step folders stay", "check the disk, then start the run again",
                {.file = final_folder()});
  replace_symlink("../final", run_dir_ / "checkpoints" / "latest");
  for (auto const step : steps()) remove_folder(folder(step));
}

}  // namespace refrain::checkpoint
