#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_lines.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/run_starts.hpp>
#include <refrain/study/run_folder.hpp>
#include <refrain/study/run_metrics.hpp>
#include <refrain/study/run_summary.hpp>
#include <refrain/study/submissions.hpp>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// The names in a folder, from one look: a table of a thousand runs has no time for a question a file.
struct Listing {
  std::set<std::string> files, folders;

  Listing() = default;  ///< of a folder that is not there
  explicit Listing(fs::path const& folder) {
    std::error_code problem;
    for (fs::directory_iterator entry(folder, problem), end; !problem && entry != end; entry.increment(problem)) {
      std::error_code gone;
      (entry->is_directory(gone) ? folders : files).insert(entry->path().filename().string());
    }
    if (problem) log_warning("cannot look into the folder: " + problem.message() + " [" + folder.string() + "]");
  }
  bool has(std::string const& name) const { return files.contains(name) || folders.contains(name); }
  bool is_run() const { return has("run.json") || has("status.json") || has("lock"); }
  bool has_answers() const { return has("responses.h5") || has("responses.h5.parts") || has("verdicts.h5"); }
};

std::optional<double> number_in(Json const& row, char const* key) {
  auto const found = row.find(key);
  return found != row.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

/// Records of a journal folder: a line each, behind its digest.
int64_t count_rows(fs::path const& parts) {
  int64_t rows = 0;
  for (auto const& name : Listing(parts).files)
    if (name.starts_with("rank-")) {
      std::ifstream file(parts / name);
      rows += std::count(std::istreambuf_iterator(file), {}, '\n');
    }
  return rows;
}

int64_t count_judges(fs::path const& verdicts) {
  auto const files = Listing(verdicts).files;
  return std::count_if(files.begin(), files.end(), [](std::string const& name) { return name.ends_with(".h5"); });
}

Outputs read_outputs(fs::path const& folder, Listing const& listing) {
  Outputs outputs{.answers_done = listing.has("responses.h5"), .verdicts_done = listing.has("verdicts.h5")};
  if (!outputs.answers_done)
    outputs.answers = listing.has("responses.h5.parts") ? count_rows(folder / "responses.h5.parts") : 0;
  if (!outputs.verdicts_done) outputs.judges = listing.has("verdicts") ? count_judges(folder / "verdicts") : 0;
  return outputs;
}

/// A file of the run, an object: null where it is not there, or with a word in `error` where it cannot be read.
Json read_if_there(fs::path const& file, bool there, std::string& error) try {
  if (!there) return {};
  auto value = read_json(file);
  if (!value.is_object()) throw Error("the file holds no object", "correct the file or make it again", {.file = file});
  return value;
} catch (Error const& problem) {
  if (error.empty()) error = problem.what();
  return {};
}

/// What Slurm knows of runs: this user's queue, and by the records of submissions whose jobs are in it.
class Jobs {
public:
  explicit Jobs(Queue const& queue) : queue_(queue) {}

  std::string state(std::string const& job) const { return state_in(queue_, job); }

  /// The job of the queue that was submitted for the run in this folder; null if there is none.
  QueuedJob const* submitted(fs::path const& run) {
    return submissions_of(run.parent_path()).recorded(run.filename().string(), queue_);
  }

private:
  Submissions const& submissions_of(fs::path const& folder) {
    auto const found = submissions_.find(folder);
    if (found != submissions_.end()) return found->second;
    return submissions_.emplace(folder, readable_submissions(folder)).first->second;
  }

  static Submissions readable_submissions(fs::path const& folder) try {
    return Submissions(folder);
  } catch (Error const& error) {
    log_warning("jobs that wait are not known: " + std::string(error.what()));
    return Submissions();
  }

  Queue const& queue_;
  std::map<fs::path, Submissions> submissions_;
};

/// What the last rows of metrics tell.
void add_metrics(RunSummary& run) {
  constexpr int64_t tail = 32 << 10;
  auto const rows = last_metrics(run.folder / "metrics.jsonl", tail);
  if (rows.empty()) return;
  run.loss = number_in(rows.back(), "loss");
  run.accuracy = number_in(rows.back(), "rewards/accuracies");
  run.pairs_per_second = number_in(rows.back(), "pairs_per_second");
  double seconds = 0, steps = 0;
  for (auto const& row : rows)
    if (auto const each = number_in(row, "step_seconds")) seconds += *each, ++steps;
  if (run.state == RunState::running && steps > 0 && run.steps > run.step)
    run.seconds_left = seconds / steps * static_cast<double>(run.steps - run.step);
}

/// Restarts, lost work and hours.
void add_starts(RunSummary& run, Json const& record, std::vector<Json> const& endings, Json const& status) {
  auto const starts = read_starts(record, endings, status);
  run.restarts = std::max<int64_t>(static_cast<int64_t>(starts.size()) - 1, 0);
  run.steps_again = steps_done_again(starts);
  auto const now = static_cast<double>(std::time(nullptr));
  for (std::size_t i = 0; i < starts.size(); ++i) {
    auto const& start = starts[i];
    bool const runs = i + 1 == starts.size() && run.state == RunState::running;
    double const end = runs ? now : start.end.value_or(start.begin);
    run.node_hours += static_cast<double>(start.nodes) * std::max(end - start.begin, 0.0) / 3600;
  }
}

/// The last error that anybody wrote down.
std::string last_error(RunSummary const& run, Json const& status, std::vector<Json> const& endings,
                       std::optional<LockSight> const& lock) {
  if (run.state == RunState::lost)
    return "no sign of life since " + status.value("updated", "its start") +
           (lock ? "; its lock is of " + lock->holder : std::string());
  if (auto const found = status.find("error"); found != status.end() && found->is_string())
    return found->get<std::string>();
  for (auto line = endings.rbegin(); line != endings.rend() && run.state != RunState::finished; ++line)
    if (line->value("ending", "") == "failed") {
      if (auto error = line->value("error", ""); !error.empty()) return error;
      auto const job = line->value("job", "");
      return (job.empty() ? "a start" : "the start of job " + job) + " failed, with exit code " +
             dump_text(line->value("exit", Json())) + ", at " + line->value("time", "?");
    }
  return {};
}

/// The job of the last start: of whoever holds the lock, else as run.json or the record of starts says.
std::string last_job(Json const& record, std::vector<Json> const& endings, std::optional<LockSight> const& lock) {
  if (lock && !lock->job.empty()) return lock->job;
  if (auto const found = record.find("starts"); found != record.end() && found->is_array() && !found->empty()) {
    auto const job = found->back().value("/provenance/slurm/SLURM_JOB_ID"_json_pointer, Json());
    if (job.is_string()) return job.get<std::string>();
  }
  return endings.empty() ? std::string{} : endings.back().value("job", "");
}

void read_into(RunSummary& run, Listing const& listing, Jobs& jobs) {
  auto const& folder = run.folder;
  run.outputs = read_outputs(folder, listing);
  auto record = read_if_there(folder / "run.json", listing.has("run.json"), run.error);
  auto status = read_if_there(folder / "status.json", listing.has("status.json"), run.error);
  bool const unreadable = listing.has("status.json") && !status.is_object();
  if (!record.is_object()) record = Json::object();
  if (!status.is_object()) status = Json::object();
  auto const endings = readable_json_lines(folder.string() + ".starts.jsonl");
  std::optional<LockSight> lock;
  if (listing.has("lock")) lock = look_at_lock(folder / "lock");

  run.job = last_job(record, endings, lock);
  auto const job_state = jobs.state(run.job);
  auto const said = status.value("state", "");
  bool const at_rest = job_state.empty() && said != "finished" && !(lock && lock->is_held());
  auto const* const next = at_rest ? jobs.submitted(folder) : nullptr;
  run.state = state_of(said, endings.empty() ? "" : endings.back().value("ending", ""), lock, job_state,
                       next ? next->state : "");
  if (next) run.job = next->id;
  if (unreadable && job_state.empty() && !next && run.state == RunState::waiting) run.state = RunState::damaged;
  run.step = status.value("step", int64_t{0});
  run.steps = status.value("steps", int64_t{0});
  add_metrics(run);
  add_starts(run, record, endings, status);
  if (run.error.empty()) run.error = last_error(run, status, endings, lock);
}

RunSummary summarize(fs::path const& folder, std::string name, Listing const& listing, Jobs& jobs) {
  RunSummary run{.name = std::move(name), .folder = folder, .state = RunState::damaged};  // until its files tell
  try {
    read_into(run, listing, jobs);
  } catch (Json::exception const&) {
    run.error = "its files hold a key of another kind than refrain-train writes";
  } catch (Error const& problem) {  // a lock that may not be read
    run.error = problem.what();
  }
  std::replace(run.error.begin(), run.error.end(), '\n', ' ');
  return run;
}

/// Adds the runs in `folder`, or the one that it is.
void add_runs(std::vector<RunSummary>& runs, fs::path const& folder, std::string const& name, int depth, Jobs& jobs) {
  Listing const listing(folder);
  if (listing.is_run()) return runs.push_back(summarize(folder, name, listing, jobs));
  if (listing.has_answers()) {
    runs.push_back(
        {.name = name, .folder = folder, .state = RunState::untrained, .outputs = read_outputs(folder, listing)});
    return;
  }
  if (depth == 0) return;
  auto const inside = [&](std::string const& each) { return name.empty() ? each : name + "/" + each; };
  for (auto const& each : listing.folders)
    if (!each.starts_with('.') && !each.ends_with(".parts") && each != reference_cache)  // which has locks too
      add_runs(runs, folder / each, inside(each), depth - 1, jobs);
  // Starts that ended before there was a run folder.
  std::string const ending = ".starts.jsonl";
  for (auto const& file : listing.files)
    if (file.ends_with(ending))
      if (auto const each = file.substr(0, file.size() - ending.size()); !listing.has(each) && !each.ends_with(".h5"))
        runs.push_back(summarize(folder / each, inside(each), {}, jobs));
}

Json or_null(auto const& value) { return value ? Json(*value) : Json(); }

}  // namespace

std::string to_string(RunState state) {
  switch (state) {
    case RunState::waiting: return "waiting";
    case RunState::running: return "running";
    case RunState::stopped: return "stopped";
    case RunState::finished: return "finished";
    case RunState::failed: return "failed";
    case RunState::lost: return "lost";
    case RunState::damaged: return "damaged";
    case RunState::untrained: return "untrained";
  }
  return "?";
}

Json RunSummary::json() const {
  return {{"name", name},
          {"folder", folder.string()},
          {"state", to_string(state)},
          {"step", step},
          {"steps", steps},
          {"loss", or_null(loss)},
          {"accuracy", or_null(accuracy)},
          {"pairs_per_second", or_null(pairs_per_second)},
          {"seconds_left", or_null(seconds_left)},
          {"restarts", restarts},
          {"steps_again", steps_again},
          {"node_hours", node_hours},
          {"job", job},
          {"error", error.empty() ? Json() : Json(error)},
          {"answers", {{"done", outputs.answers_done}, {"rows", or_null(outputs.answers)}}},
          {"verdicts", {{"done", outputs.verdicts_done}, {"judges", or_null(outputs.judges)}}}};
}

RunState state_of(std::string const& said, std::string const& ending, std::optional<LockSight> const& lock,
                  std::string const& job_state, std::string const& next_state) {
  auto const waits = [](std::string const& state) {
    return state == "PENDING" || state == "REQUEUED" || state == "REQUEUE_HOLD";
  };
  if (said == "finished") return RunState::finished;
  if (lock && lock->is_held()) return RunState::running;
  // The queue speaks of the job whatever the files say: it was requeued, or starts again just now. But a process that
  // this host knows to be dead does not run, though its job may.
  bool const dead = lock && lock->life == Life::dead;
  if (waits(job_state) || waits(next_state)) return RunState::waiting;
  if (!next_state.empty()) return RunState::running;  // what the start before it left says nothing of it
  if (!job_state.empty() && !dead && said != "failed") return RunState::running;
  if (said == "running") return RunState::lost;
  if (said == "failed" || ending == "failed") return RunState::failed;
  if (said == "stopped" || ending == "stopped") return RunState::stopped;
  return RunState::waiting;
}

std::vector<RunSummary> summarize_runs(std::vector<fs::path> const& roots, Queue const& queue) {
  constexpr int depth = 4;  // REFRAIN_RUNS/STUDY/MEMBER, and a folder or two above
  std::vector<RunSummary> runs;
  Jobs jobs(queue);
  for (auto const& root : roots) {
    if (!fs::is_directory(root))
      throw Error("there is no such folder", "give the folder that holds the runs, or set REFRAIN_RUNS",
                  {.file = root});
    auto const folder = fs::weakly_canonical(root);
    // A run itself is named as its own folder's listing would name it.
    auto const itself = folder.parent_path().filename() / folder.filename();
    bool const is_run = fs::exists(folder / "run.json") || fs::exists(folder / "status.json");
    add_runs(runs, folder, is_run ? itself.string() : std::string{}, depth, jobs);
  }
  std::sort(runs.begin(), runs.end(), [](auto const& a, auto const& b) { return a.name < b.name; });
  return runs;
}

}  // namespace refrain::study
