#include "commands.hpp"

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/launch.hpp>
#include <refrain/base/line_log.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/checkpoint/checkpoint.hpp>
#include <refrain/checkpoint/step_folders.hpp>
#include <refrain/h5/reader.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>

namespace refrain::convert {

namespace {

namespace fs = std::filesystem;

/// Checks to be made, each alone, shared out over the ranks.
class Checks {
public:
  /// What stands at `path`: a checkpoint, a run folder, a reference cache, an HDF5 file or one of the JSON files.
  void add_path(fs::path const& path) {
    if (!fs::exists(path)) return fail(path, "does not exist", "check the path");
    if (fs::is_directory(path)) return add_folder(path);
    auto const name = path.filename().string();
    if (name == "metrics.jsonl") return add_metrics(path.parent_path());
    if (name.ends_with(".json") && !is_small_file(path)) return add_sealed(path);
    if (is_small_file(path))
      return fail(path, "is one of a checkpoint's small files",
                  "verify its folder, whose manifest.json has its digest");
    add_hdf5(path);
  }

  /// One line a failure, "" for what is sound. @returns the lines of this rank's checks
  std::vector<std::string> run(comm::Communicator const& world) const {
    std::vector<std::string> problems;
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      if (static_cast<int>(i % static_cast<std::size_t>(world.size())) != world.rank()) continue;
      try {
        tasks_[i]();
      } catch (std::exception const& error) {
        problems.push_back(error_text(error));
      }
    }
    return problems;
  }

  std::size_t size() const noexcept { return tasks_.size(); }

private:
  void fail(fs::path const& path, std::string const& problem, std::string const& remedy) {
    tasks_.push_back([=] { throw Error(problem, remedy, {.file = path}); });
  }

  static bool is_small_file(fs::path const& path) {
    return path.filename() != "manifest.json" && fs::exists(path.parent_path() / "manifest.json") &&
           !path.filename().string().ends_with(".h5");
  }

  void add_folder(fs::path const& folder) {
    bool const run = fs::exists(folder / "run.json") || fs::exists(folder / "status.json") ||
                     fs::is_directory(folder / "checkpoints");
    if (run) return add_run(folder);
    if (auto const caches = reference_caches(folder); !caches.empty()) {
      for (auto const& cache : caches) add_reference_cache(cache);
      return;
    }
    bool const checkpoint = fs::exists(folder / "manifest.json") || fs::exists(folder / "weights-00001-of-00001.h5");
    if (checkpoint) return add_checkpoint(folder);
    fail(folder, "neither a checkpoint (no manifest.json) nor a run folder (no run.json)",
         "give a folder that Refrain wrote");
  }

  /// A task for the folder's own files and one for each HDF5 file of slices.
  void add_checkpoint(fs::path const& folder) {
    std::shared_ptr<checkpoint::Checkpoint> opened;
    try {
      opened = std::make_shared<checkpoint::Checkpoint>(folder);
    } catch (Error const& error) {
      tasks_.push_back([error] { throw error; });
      return;
    }
    for (auto const& [name, size] : opened->manifest().files)
      tasks_.push_back([opened, name = name] { opened->verify_file(name); });
    if (opened->manifest().files.empty())
      fail(folder, "the checkpoint has no tensors", "use another checkpoint, or make it again");
  }

  void add_sealed(fs::path const& path) {
    tasks_.push_back([path] { read_sealed_json(path); });
  }

  void add_metrics(fs::path const& run) {
    tasks_.push_back([run] {
      auto const status = run / "status.json";
      auto const position = json_get<Json>(read_sealed_json(status), "metrics", status);
      LineLog::check(run / "metrics.jsonl", position);
    });
  }

  void add_hdf5(fs::path const& path) {
    tasks_.push_back([path] {
      h5::Reader const file(path);
      std::vector<std::byte> buffer;
      for (auto const& [name, info] : file.datasets()) {
        // The length of a whole dataset was checked against the file on opening.
        buffer.resize(static_cast<std::size_t>(element_count(info.shape)) * size_of(info.dtype));
        file.read_box(name, Shape(info.shape.size(), 0), info.shape, buffer);
        if (!info.checksummed && !buffer.empty())
          throw Error("has no checksums", "make the file again", {.file = path, .object = name});
        if (auto const bytes = name.rfind("/bytes"); bytes != std::string::npos && bytes + 6 == name.size())
          file.read_text(name.substr(0, bytes));
      }
    });
  }

  void add_reference_cache(fs::path const& cache) {
    add_sealed(cache / "settings.json");
    for (auto const& entry : fs::directory_iterator(cache))
      if (entry.path().extension() == ".h5") add_hdf5(entry.path());
  }

  void add_run(fs::path const& run) {
    for (auto const* name : {"run.json", "status.json"})
      if (fs::exists(run / name))
        add_sealed(run / name);
      else
        fail(run / name, "the run folder lacks the file", "start the run again, which writes it");
    if (fs::exists(run / "eval.json")) add_sealed(run / "eval.json");
    if (fs::exists(run / "status.json")) add_metrics(run);
    for (auto const& entry : fs::directory_iterator(run))
      if (entry.path().extension() == ".h5") add_hdf5(entry.path());
    checkpoint::StepFolders const folders(run);
    for (auto const step : folders.steps()) add_checkpoint(folders.folder(step));
    if (fs::exists(folders.final_folder())) add_checkpoint(folders.final_folder());
    auto const latest = run / "checkpoints" / "latest";
    if (fs::is_symlink(latest) && !fs::exists(latest))
      fail(latest, "points to " + fs::read_symlink(latest).string() + ", which is not there", "start the run again");
  }

  std::vector<std::function<void()>> tasks_;
};

bool is_reference_cache(fs::path const& folder) {
  for (auto const& entry : fs::directory_iterator(folder)) {
    auto const name = entry.path().filename().string();
    if (name == "settings.json" || (name.starts_with("segment-") && name.ends_with(".h5"))) return true;
  }
  return false;
}

}  // namespace

std::vector<fs::path> reference_caches(fs::path const& folder) {
  if (is_reference_cache(folder)) return {folder};
  std::vector<fs::path> caches;
  for (auto const& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && is_reference_cache(entry.path())) caches.push_back(entry.path());
  std::sort(caches.begin(), caches.end());
  return caches;
}

Exit verify_paths(Options const& options, comm::Communicator const& world) {
  bool sound = true;
  for (auto const& path : options.paths) {
    Checks checks;
    std::string problems;
    comm::agree(world, [&] {
      checks.add_path(path);
      problems = dump_text(Json(checks.run(world)));
    });
    std::size_t failures = 0;
    for (auto const& text : world.all_gather(problems))
      for (auto const& problem : Json::parse(text)) {
        ++failures;
        if (world.rank() == 0) std::fprintf(stderr, "refrain-convert: %s\n", problem.get<std::string>().c_str());
      }
    if (world.rank() == 0) {
      if (failures == 0) std::printf("%s: sound\n", path.c_str());
      if (failures != 0) std::printf("%s: %zu of %zu checks failed\n", path.c_str(), failures, checks.size());
    }
    sound &= failures == 0;
  }
  return sound ? Exit::success : Exit::failure;
}

}  // namespace refrain::convert
