#include "commands.hpp"

#include <refrain/archive/collect.hpp>
#include <refrain/archive/content.hpp>
#include <refrain/archive/summary.hpp>
#include <refrain/base/anonymous.hpp>
#include <refrain/base/counted.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/h5/writer.hpp>

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

namespace refrain::archive {
namespace {

namespace fs = std::filesystem;

/// A run whose job writes would be archived in pieces that do not fit each other.
void require_idle(Collection const& found) {
  auto locks = found.locks;
  for (auto const& run : found.runs) locks.push_back(run.folder / "lock");  // a job may begin meanwhile
  for (auto const& lock : locks)
    if (auto const sight = look_at_lock(lock); sight && sight->is_held())
      throw Error("a job is at work here: " + sight->holder, "archive the run when it has ended",
                  {.file = lock.parent_path()});
}

Json provenance_of(Options const& options, Collection const& found) {
  Provenance provenance("refrain-archive", options.record);
  for (auto const& run : found.runs)
    if (auto const file = run.folder / "run.json"; fs::exists(file)) provenance.add_input(file);
  return options.anonymous ? anonymised(provenance.json()) : provenance.json();
}

/// Writes a whole archive beside the old one, if there is one, and takes its place at last: whatever happens before
/// that, the old one is untouched.
class Creation {
public:
  explicit Creation(Options const& options)
      : options_(options),
        lock_(FolderLock::acquire(options.out.string() + ".lock")),
        temporary_(options.out.string() + ".tmp") {}

  Exit run() {
    remove_temporary();  // of a call that was killed
    if (fs::exists(options_.out) && !options_.replace) open_old();
    found_ = collect(options_);
    require_idle(found_);
    // Of all that was found: what the archive has already may be verdicts on answers that it has not.
    maker_.emplace(options_, found_, options_.out.string() + ".scratch");
    if (old_) take_out_known();
    if (old_ && found_.runs.empty() && found_.files.empty()) {
      std::cout << options_.out.string() << ": has all of it already\n" << std::flush;
      return Exit::success;
    }
    require_space(options_.out, bytes_to_come(), "the archive");
    try {
      write();
    } catch (...) {
      remove_temporary();
      throw;
    }
    std::cout << options_.out.string() << ": " << counted(manifest_.runs.size(), "run") << ", "
              << counted(manifest_.files.size(), "file") << ", "
              << format_bytes(static_cast<double>(fs::file_size(options_.out))) << "\n"
              << std::flush;
    return Exit::success;
  }

private:
  void open_old() {
    if (!options_.add)
      throw UsageError("--out names a file that is there already",
                       "add to it with --add, make it anew with --replace, or name another", {.file = options_.out});
    old_ = std::make_unique<ArchiveFile>(options_.out);
    if (old_->manifest().anonymous != options_.anonymous)
      throw UsageError(std::string("the archive is ") + (options_.anonymous ? "not " : "") + "anonymous",
                       options_.anonymous ? "add to it without --anonymous, or name another"
                                          : "add to it with --anonymous, or name another",
                       {.file = options_.out});
  }

  /// Of what was found, the files that the archive has with the same bytes are not new. Others may not have a name that
  /// is in it: an archive's runs do not change.
  void take_out_known() {
    auto const& stored = old_->manifest().files;
    std::erase_if(found_.files, [&](FoundFile const& file) {
      auto const known =
          std::find_if(stored.begin(), stored.end(), [&](auto const& entry) { return entry.path == file.path; });
      if (known == stored.end()) return false;
      auto const content = maker_->of(file);
      if (content.why_not.empty() && content.source.extent() == known->stored) return true;
      throw Error("the archive has " + file.path + " with other content",
                  "archive what has changed under another name: --out", {.file = options_.out});
    });
    std::erase_if(found_.runs, [&](FoundRun const& run) {
      auto const* known = old_->manifest().find_run(run.name);
      return known != nullptr && std::none_of(found_.files.begin(), found_.files.end(),
                                              [&](auto const& file) { return known->owns(file.path); });
    });
  }

  int64_t bytes_to_come() const {
    int64_t bytes = old_ ? old_->manifest().bytes() : 0;
    for (auto const& file : found_.files) bytes += static_cast<int64_t>(fs::file_size(file.file));
    return bytes;
  }

  void write() {
    // A name of its own: only what has been read back takes the archive's.
    out_ =
        std::make_unique<h5::Writer>(temporary_, "archive.v1", provenance_of(options_, found_), h5::Commit::in_place);
    progress_ = std::make_unique<Progress>("archive", bytes_to_come(), "bytes");
    manifest_.anonymous = options_.anonymous;
    if (old_) copy_old();
    add_found();
    manifest_.sort();
    auto const text = sealed_json(manifest_.to_json());
    store("/manifest", Source::of_text(text));
    out_->finish();
    out_.reset();
    for (auto const& problem : ArchiveFile(temporary_).problems())
      throw Error("what was written cannot be read back: " + problem, "check the disk, then start again",
                  {.file = options_.out});
    require_idle(found_);
    lock_.require_held();
    rename_durably(temporary_, options_.out);
  }

  Extent store(std::string const& dataset, Source const& source) {
    Shape const shape{source.bytes};
    out_->create(dataset, DType::uint8, shape, static_cast<unsigned>(options_.compression));
    return source.stream(h5::chunk_shape(shape, 1).front(), [&](int64_t offset, std::span<std::byte const> part) {
      out_->write_box(dataset, {offset}, {static_cast<int64_t>(part.size())}, part);
      progress_->advance(done_ += static_cast<int64_t>(part.size()));
    });
  }

  void copy_old() {
    auto const& manifest = old_->manifest();
    for (auto const& file : manifest.files) {
      if (store(dataset_of(file.path), old_->source(file)) != file.stored)
        throw Error(file.path + " does not match its SHA-256", "the archive is damaged; make it again",
                    {.file = options_.out});
      manifest_.files.push_back(file);
    }
    manifest_.runs = manifest.runs;
    manifest_.left_out = manifest.left_out;
  }

  void add_found() {
    for (auto const& file : found_.files) {
      auto const content = maker_->of(file);
      if (!content.why_not.empty()) {
        found_.left_out.push_back({.path = file.path, .why = content.why_not});
        continue;
      }
      auto const stored = store(dataset_of(file.path), content.source);
      manifest_.files.push_back({.path = file.path,
                                 .stored = stored,
                                 .without = content.without,
                                 .original = content.without.empty() ? stored : content.original});
    }
    for (auto const& run : found_.runs) {
      auto summary = summarise(run.folder);
      // Results are numbers, and keys such as rewards/margins.
      if (options_.anonymous)
        for (char const* of : {"settings", "inputs", "versions"}) summary[of] = anonymised(summary[of]);
      std::erase_if(manifest_.runs, [&](auto const& known) { return known.name == run.name; });
      manifest_.runs.push_back({.name = run.name, .summary = std::move(summary)});
    }
    for (auto const& item : found_.left_out) {
      std::erase_if(manifest_.left_out, [&](auto const& known) { return known.path == item.path; });
      manifest_.left_out.push_back(item);
    }
    // What an earlier call left out may have been taken by this one, and the other way round.
    std::erase_if(manifest_.left_out, [&](auto const& item) { return manifest_.has(item.path); });
  }

  void remove_temporary() noexcept {
    out_.reset();
    std::error_code ignored;
    fs::remove(temporary_, ignored);
  }

  Options const& options_;
  FolderLock lock_;
  fs::path temporary_;
  Collection found_;
  std::optional<ContentMaker> maker_;
  std::unique_ptr<ArchiveFile> old_;
  std::unique_ptr<h5::Writer> out_;
  std::unique_ptr<Progress> progress_;
  int64_t done_ = 0;
  Manifest manifest_;
};

}  // namespace

void require_space(fs::path const& path, int64_t bytes, std::string const& what) {
  auto const free = free_bytes(path);
  if (free < bytes)
    throw Error(what + " may need " + format_bytes(static_cast<double>(bytes)) + ", and " +
                    format_bytes(static_cast<double>(free)) + " are free",
                "free space, or name another disk", {.file = path});
}

Exit create(Options const& options) { return Creation(options).run(); }

}  // namespace refrain::archive
