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

/// Out of the way, but kept.
void set_aside(fs::path const& folder) {
  auto const aside = fs::path(folder.string() + ".damaged");
  if (fs::exists(aside)) remove_folder(aside);
  rename_durably(folder, aside);
  log_warning(folder.filename().string() + " is kept as " + aside.filename().string());
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
  if (all.empty()) return std::nullopt;
  throw Error("none of the run's checkpoints can be read (each is named above)",
              "mend what hinders it, or remove the folder to begin the run again", {.file = run_dir_ / "checkpoints"});
}

bool StepFolders::finished() const {
  if (!fs::exists(final_folder())) return false;
  if (is_sound(final_folder())) return true;
  if (steps().empty())
    throw Error("the run is finished, but its model cannot be read (why is said above)",
                "restore the folder from a copy, or remove it to train again", {.file = final_folder()});
  set_aside(final_folder());
  return false;
}

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
    if (found > step) is_sound(folder(found)) ? remove_folder(folder(found)) : set_aside(folder(found));
  auto const latest = run_dir_ / "checkpoints" / "latest";
  if (!fs::is_symlink(latest) || fs::exists(latest)) return;
  if (auto const left = steps(); left.empty())
    fs::remove(latest);
  else
    replace_symlink(folder(left.back()).filename(), latest);
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
  replace_symlink("../final", run_dir_ / "checkpoints" / "latest");
  for (auto const step : steps()) remove_folder(folder(step));
}

}  // namespace refrain::checkpoint
