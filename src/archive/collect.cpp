#include <refrain/archive/collect.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/run_name.hpp>

#include <algorithm>
#include <optional>
#include <set>

namespace refrain::archive {
namespace {

namespace fs = std::filesystem;

std::vector<fs::directory_entry> sorted_entries(fs::path const& folder) {
  std::vector<fs::directory_entry> entries{fs::directory_iterator(folder), fs::directory_iterator()};
  std::sort(entries.begin(), entries.end(), [](auto const& a, auto const& b) { return a.path() < b.path(); });
  return entries;
}

bool is_lock(std::string const& name) { return name == "lock" || name.ends_with(".lock"); }

/// How a file of this name is read; none for what no program of ours keeps beside runs.
std::optional<Kind> kind_of(std::string const& name) {
  static std::set<std::string> const sealed{"run.json", "status.json", "eval.json"},
      json{"pairs.json", "prompts.json", "pruned.json", "study.json", "submissions.json"};
  if (sealed.contains(name)) return Kind::sealed;
  if (json.contains(name)) return Kind::json;
  if (name == "metrics.jsonl" || name.ends_with(".starts.jsonl")) return Kind::lines;
  if (name.ends_with(".h5")) return Kind::data;
  return std::nullopt;
}

/// Why a folder stays out as a whole; empty if it does not.
std::string why_left_out(fs::path const& folder) {
  auto const name = folder.filename().string();
  if (name == "checkpoints") return "checkpoints to resume from";
  if (name.ends_with(".parts")) return "journals of a job that has not finished";
  if (name.ends_with(".tmp") || name.ends_with(".damaged")) return "left behind by a job that failed";
  if (fs::exists(folder / "manifest.json")) return "a checkpoint";
  if (name == "reference-cache" || fs::exists(folder / "settings.json")) return "a reference cache";
  if (name.starts_with(".")) return "not a folder of ours";
  return {};
}

bool is_report(fs::path const& folder) {
  auto const file = folder / "report.json";
  if (!fs::exists(file)) return false;
  auto const record = read_json(file);
  return record.is_object() && record.value("program", Json()) == "refrain-report";
}

/// Whether the folder is a training run's, or has another model's answers or verdicts.
bool is_run(fs::path const& folder) {
  for (char const* name : {"run.json", "responses.h5", "verdicts.h5"})
    if (fs::exists(folder / name)) return true;
  return fs::is_directory(folder / "verdicts");
}

class Collector {
public:
  explicit Collector(Options const& options)
      : options_(options), out_(options.out.empty() ? fs::path() : fs::weakly_canonical(options.out)) {}

  Collection run() {
    for (auto const& word : options_.paths) {
      auto const folder = fs::canonical(word);
      auto const before = found_.runs.size();
      auto const name = run_name(folder);
      if (name.empty()) throw Error("the folder has no name", "name a run's folder, or one of runs", {.file = folder});
      walk(folder, name, false);
      if (found_.runs.size() == before)
        throw Error("the folder holds no run: no run.json, no answers, no verdicts in it or below it",
                    "name a run's folder, or one of runs", {.file = word});
      if (fs::path const starts = folder.string() + ".starts.jsonl"; fs::exists(starts))
        add(starts, name + ".starts.jsonl", Kind::lines);
    }
    return std::move(found_);
  }

private:
  void add(fs::path const& file, std::string const& path, Kind kind) {
    if (parse_json(dump_text(path), file) != path)
      throw Error("the name is not UTF-8, as names in archives are", "rename the file, or the folder that it is in",
                  {.file = file});
    if (!paths_.insert(path).second)
      throw UsageError("two files would be " + path + " in the archive",
                       "name each folder once, and give folders of one name others", {.file = file});
    found_.files.push_back({.file = file, .path = path, .kind = kind});
  }

  void leave_out(std::string const& path, std::string const& why) {
    found_.left_out.push_back({.path = path, .why = why});
  }

  /// Its name may be a log's, with a host and a job.
  void leave_out_foreign(fs::path const& file, std::string const& folder, std::string const& why) {
    leave_out(folder + "/" + (options_.anonymous ? "(names left out)" : file.filename().string()), why);
  }

  /// The archive itself, its lock and what else of it stands there for a while.
  bool is_own(fs::path const& file) const {
    return !out_.empty() && (file == out_ || file.string().starts_with(out_.string() + "."));
  }

  void walk(fs::path const& folder, std::string const& name, bool in_run) {
    if (std::count(name.begin(), name.end(), '/') > most_folders)
      throw Error("folders are nested too deep", "archive the runs in it by themselves", {.file = folder});
    if (is_report(folder)) return add_report(folder, name);
    if (!in_run && is_run(folder)) {
      in_run = true;
      found_.runs.push_back({.folder = folder, .name = name});
    }
    for (auto const& entry : sorted_entries(folder)) {
      auto const leaf = entry.path().filename().string(), path = name + "/" + leaf;
      if (is_own(entry.path())) continue;
      if (entry.is_symlink())
        leave_out_foreign(entry.path(), name, "a link");
      else if (entry.is_directory())
        walk_below(entry.path(), path, in_run);
      else if (is_lock(leaf)) {
        if (in_run) found_.locks.push_back(entry.path());
      } else if (options_.anonymous && (leaf == "study.json" || leaf == "submissions.json"))
        leave_out(path, "a record of jobs");
      else if (auto const kind = kind_of(leaf); kind && entry.is_regular_file())
        add(entry.path(), path, *kind);
      else
        leave_out_foreign(entry.path(), name, "not a file that runs and studies consist of");
    }
  }

  void walk_below(fs::path const& folder, std::string const& path, bool in_run) {
    if (in_run && folder.filename() == "final" && fs::exists(folder / "manifest.json")) {
      if (options_.weights == Weights::final) return add_all(folder, path);
      return leave_out(path, "weights, which --weights final takes");
    }
    if (auto const why = why_left_out(folder); !why.empty()) {
      leave_out(path, why);
      if (in_run && fs::exists(folder / "lock")) found_.locks.push_back(folder / "lock");
      return;
    }
    walk(folder, path, in_run);
  }

  void add_all(fs::path const& folder, std::string const& name) {
    for (auto const& entry : sorted_entries(folder)) {
      auto const path = name + "/" + entry.path().filename().string();
      if (entry.is_regular_file() && !entry.is_symlink())
        add(entry.path(), path, entry.path().filename() == "manifest.json" ? Kind::sealed : Kind::plain);
      else
        leave_out_foreign(entry.path(), name, "not a file of a checkpoint");
    }
  }

  /// A report says itself what it shows.
  void add_report(fs::path const& folder, std::string const& name) {
    auto const file = folder / "report.json";
    auto const options = json_get_or<Json>(read_json(file), "options", Json::object(), file);
    if (options_.anonymous && options.value("anonymous", Json()) != true)
      return leave_out(name, "a report that names hosts and paths: make it again with --anonymous");
    bool const text = options.value("include-text", Json()) == true;
    bool const guarded = !options.value("include-category", Json::array()).empty();
    for (auto const& entry : sorted_entries(folder)) {
      auto const leaf = entry.path().filename().string(), path = name + "/" + leaf;
      auto const extension = entry.path().extension();
      bool const ours = leaf == "report.json" || leaf == "report.html" || extension == ".csv" || extension == ".tex" ||
                        extension == ".svg" || extension == ".pdf";
      if (!ours || !entry.is_regular_file() || entry.is_symlink())
        leave_out_foreign(entry.path(), name, "not a file of a report");
      else if (leaf == "report.html" && text && !options_.include_text)
        leave_out(path, "shows answers, which --include-text takes");
      else if (leaf == "report.html" && guarded && !options_.include_guarded())
        leave_out(path, "shows answers of S4, which --include-category S4 takes");
      else
        add(entry.path(), path, Kind::plain);
    }
  }

  /// Of the archive's path, so that a reader's limit on groups is kept.
  static constexpr std::ptrdiff_t most_folders = 6;

  Options const& options_;
  fs::path out_;
  Collection found_;
  std::set<std::string> paths_;
};

}  // namespace

Collection collect(Options const& options) { return Collector(options).run(); }

}  // namespace refrain::archive
