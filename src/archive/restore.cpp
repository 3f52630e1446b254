#include "commands.hpp"

#include <refrain/archive/source.hpp>
#include <refrain/base/counted.hpp>
#include <refrain/base/file.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/log.hpp>

#include <algorithm>
#include <iostream>
#include <set>

namespace refrain::archive {
namespace {

namespace fs = std::filesystem;

/// The folder without a slash at its end, so that names can be put behind it.
fs::path plain(fs::path const& folder) {
  auto const path = fs::weakly_canonical(fs::absolute(folder));
  return path.has_filename() ? path : path.parent_path();
}

/// Beside a folder that is made, inside one that is there, which may be a file system of its own.
fs::path helper_of(fs::path const& folder, std::string const& name) {
  return fs::is_directory(folder) ? folder / name : fs::path(folder.string() + name);
}

/// Moves what was staged to where it belongs, in as few renames as there may be: a folder that is not there yet comes
/// whole.
void move_into(fs::path const& from, fs::path const& to) {
  if (!fs::is_directory(from) || !fs::exists(to)) return rename_durably(from, to);
  std::vector<fs::directory_entry> const entries{fs::directory_iterator(from), fs::directory_iterator()};
  for (auto const& entry : entries) move_into(entry.path(), to / entry.path().filename());
}

class Restoration {
public:
  explicit Restoration(Options const& options)
      : options_(options),
        archive_(options.archive),
        out_(plain(options.out)),
        staging_(helper_of(out_, ".restore.tmp")) {
    choose();
  }

  Exit run() {
    make_folders(out_.parent_path());
    auto const lock = FolderLock::acquire(helper_of(out_, ".restore.lock"));
    require_free();
    require_space(out_, bytes_, "what is restored");
    fs::remove_all(staging_);
    try {
      Progress progress("restore", bytes_, "bytes");
      for (auto const* file : files_) write(*file, progress);
      for (auto const& folder : folders_) sync_path(folder);
      lock.require_held();
      require_free();
      move_into(staging_, out_);
      fs::remove_all(staging_);
    } catch (...) {
      std::error_code ignored;
      fs::remove_all(staging_, ignored);
      throw;
    }
    say();
    return Exit::success;
  }

private:
  void choose() {
    auto const& manifest = archive_.manifest();
    StoredRun const* run = options_.run.empty() ? nullptr : manifest.find_run(options_.run);
    if (!options_.run.empty() && run == nullptr)
      throw UsageError("--run: the archive has no run " + options_.run, manifest.runs_like(options_.run),
                       {.file = options_.archive});
    for (auto const& file : manifest.files)
      if (run == nullptr || run->owns(file.path)) {
        files_.push_back(&file);
        bytes_ += file.stored.bytes;
      }
  }

  bool chosen(StoredRun const& run) const {
    return std::any_of(files_.begin(), files_.end(), [&](auto const* file) { return run.owns(file->path); });
  }

  void require_free() const {
    if (fs::exists(out_) && !fs::is_directory(out_))
      throw UsageError("--out names a file, where a folder is wanted", "name a folder", {.file = options_.out});
    require_folders();
    for (auto const* file : files_) {
      auto const target = out_ / file->path;
      if (!fs::exists(fs::symlink_status(target))) continue;
      if (!options_.overwrite)
        throw Error("the file is there already", "restore into another folder, or replace it with --overwrite",
                    {.file = target});
      if (fs::is_directory(target))
        throw Error("a folder is in the place of a file that is restored", "restore into another folder",
                    {.file = target});
    }
    for (auto const& run : archive_.manifest().runs)
      if (auto const sight = look_at_lock(out_ / run.name / "lock"); sight && sight->is_held() && chosen(run))
        throw Error("a job is at work here: " + sight->holder, "restore into another folder, or wait until it ends",
                    {.file = out_ / run.name});
  }

  /// What is renamed into place one by one must not come to an end halfway.
  void require_folders() const {
    std::set<fs::path> seen;
    for (auto const* file : files_)
      for (auto folder = (out_ / file->path).parent_path(); folder != out_ && seen.insert(folder).second;
           folder = folder.parent_path())
        if (fs::exists(folder) && !fs::is_directory(folder))
          throw Error("a file is in the place of a folder that is restored", "restore into another folder",
                      {.file = folder});
  }

  void write(StoredFile const& entry, Progress& progress) {
    auto const target = staging_ / entry.path;
    if (folders_.insert(target.parent_path()).second) make_folders(target.parent_path());
    File file(target, File::Mode::create_new);
    if (!file.is_open()) throw system_error("write the file", {}, {.file = target});
    auto const found = archive_.stream(entry, [&](int64_t, std::span<std::byte const> part) {
      if (!file.write_all(part)) throw system_error("write the file", {}, {.file = target});
      progress.advance(done_ += static_cast<int64_t>(part.size()));
    });
    if (!file.sync() || !file.close()) throw system_error("write the file", {}, {.file = target});
    if (found != entry.stored)
      throw Error("the bytes do not match their SHA-256", "restore the archive from a copy, or make it again",
                  {.file = options_.archive, .object = dataset_of(entry.path)});
  }

  void say() const {
    for (auto const* file : files_)
      if (!file->without.empty()) log_warning("restored without " + file->without + " [" + file->path + "]");
    std::cout << options_.out.string() << ": " << counted(files_.size(), "file") << " restored\n" << std::flush;
  }

  Options const& options_;
  ArchiveFile archive_;
  fs::path out_, staging_;
  std::vector<StoredFile const*> files_;
  std::set<fs::path> folders_;  ///< staged ones
  int64_t bytes_ = 0, done_ = 0;
};

}  // namespace

Exit restore(Options const& options) { return Restoration(options).run(); }

}  // namespace refrain::archive
