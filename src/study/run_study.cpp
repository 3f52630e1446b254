#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/log.hpp>
#include <refrain/study/job_limits.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/run_study.hpp>
#include <refrain/study/sbatch.hpp>
#include <refrain/study/study_page.hpp>
#include <refrain/study/study_state.hpp>
#include <refrain/study/submissions.hpp>
#include <refrain/study/waves.hpp>

#include <algorithm>
#include <iostream>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

constexpr char const* wave_name = "wave";

/// This user's jobs, without the job that this is part of.
Queue queue_of_others(Environment const& environment, Options const& options) {
  auto queue = options.dry_run ? ask_queue_to_print() : ask_queue();
  if (auto const own = environment.find("SLURM_JOB_ID"); own != environment.end())
    std::erase_if(queue, [&](QueuedJob const& job) { return job.number == own->second; });
  return queue;
}

/// Places for jobs that the site has left for this user.
std::optional<int64_t> places(JobLimits const& limits, Queue const& queue) {
  if (!limits.jobs) return {};
  return std::max<int64_t>(*limits.jobs - static_cast<int64_t>(queue.size()), 0);
}

/// @throws Error for what no wave can ever submit
void check_limits(std::vector<StudyJob> const& graph, JobLimits const& limits, std::optional<double> const& bytes) {
  for (auto const& job : graph) {
    if (job.is_array() && limits.array_size && *job.parts.back().index >= *limits.array_size)
      throw Error(job.name + " has members up to " + std::to_string(*job.parts.back().index) +
                      ", and an array here only up to " + std::to_string(*limits.array_size - 1) + " (MaxArraySize)",
                  "take a smaller sweep, or several");
    if (bytes && job.bytes > *bytes)
      throw Error("a member of " + job.name + " may write " + format_bytes(job.bytes) +
                      ", more than REFRAIN_DISK_TB allows (" + format_bytes(*bytes) + ")",
                  "raise it, as disk_tb in the study's file or as the variable");
  }
}

/// @throws Error for what was made with other settings than the study's
void check_made(std::vector<StudyJob> const& graph) {
  for (auto const& job : graph)
    for (auto const& part : job.parts)
      if (part.check) part.check();
}

/// Everything of a study at the moment of this call.
struct Moment {
  Study study;
  std::vector<StudyJob> graph;
  StudyState state;
  Queue queue;
  std::vector<JobStanding> standings;
  JobLimits limits;
  Wave wave;

  /// The call that submits the next wave, once the first half of what is under way has ended.
  Sbatch next_wave() const;
  bool next_wave_waits() const;
};

Sbatch Moment::next_wave() const {
  Words ids;
  for (auto const& standing : standings) ids.insert(ids.end(), standing.jobs.begin(), standing.jobs.end());
  ids.resize((ids.size() + 1) / 2);
  std::string condition = "afterany";
  for (auto const& id : ids) condition += ":" + id;
  return {.script = data_file("slurm/study.sh"),
          .array = {},
          .dependencies = {condition},
          .job_name = queue_name(study, wave_name),
          .options = {},
          .variables = {{"REFRAIN_STUDY_FILE", study.file.string()}},
          .folder = log_folder(study)};
}

bool Moment::next_wave_waits() const {
  return std::any_of(queue.begin(), queue.end(),
                     [&](QueuedJob const& job) { return job.name == queue_name(study, wave_name); });
}

Moment look_now(Study study, Options const& options, Environment const& environment) {
  StudyState state(study.folder);
  Moment now{.study = std::move(study),
             .graph = {},
             .state = std::move(state),
             .queue = {},
             .standings = {},
             .limits = ask_limits(environment),
             .wave = {}};
  now.graph = make_graph(now.study);
  check_made(now.graph);
  now.queue = queue_of_others(environment, options);
  now.standings = look(now.graph, now.state, now.queue);
  auto const& disk_tb = now.study.models.front().settings.disk_tb;
  Room const room{.jobs = places(now.limits, now.queue),
                  .bytes = disk_tb ? std::optional(*disk_tb * 1e12) : std::nullopt,
                  .failed_stay = options.wave};
  check_limits(now.graph, now.limits, room.bytes);
  now.wave = plan_wave(now.graph, now.standings, room);
  return now;
}

/// Keeps beside the run folders which member each index of a training array means, for who submits them by hand.
void record_members(StudyJob const& job, Turn const& turn, Sbatch const& call, std::string const& id) {
  constexpr double longest_wait_seconds = 60;  // whoever submits by hand
  Submission record{
      .job = id, .name = call.name(), .sweep = value_of(call.variables, "REFRAIN_SWEEP"), .line = call.show()};
  for (auto const part : turn.parts)
    record.members[job.parts[part].index.value()] = job.parts[part].work.filename().string();
  auto const folder = job.parts.front().work.parent_path();
  make_folders(folder);
  auto const lock = FolderLock::wait(folder / "submit.lock", longest_wait_seconds);
  Submissions(folder).add(record);
}

/// Submits a turn and keeps that in the study's state.
void submit(Moment& now, Turn const& turn) {
  auto const& job = now.graph[turn.job];
  auto const call = make_call(now.graph, now.standings, turn);
  std::cout << call.show() << "\n";
  auto const id = call.submit();
  StudySubmission submission{
      .job = id, .waited = !call.dependencies.empty(), .at_once = turn.at_once, .variables = call.variables};
  for (auto const part : turn.parts)
    if (job.parts[part].index) submission.indices.push_back(*job.parts[part].index);
  now.state.add(job.name, submission);
  if (job.stage == Stage::train) record_members(job, turn, call, id);
  auto& standing = now.standings[turn.job];
  standing.jobs.push_back(id);
  standing.under_way += turn.parts.size();
  for (auto const part : turn.parts) std::erase(standing.left, part);
  std::cout << job.name << ": job " << id << std::endl;
}

/// Says who trains members that no job in the queue trains.
void say_elsewhere(Moment const& now) {
  for (std::size_t i = 0; i < now.graph.size(); ++i)
    for (auto const& [part, holder] : now.standings[i].elsewhere)
      log_warning(now.graph[i].name + ": no job in the queue, but " + holder + " trains this member: run this again " +
                  "once it has ended, for what waits for it [" + now.graph[i].parts[part].work.string() + "]");
}

/// Takes jobs out of the queue that can never begin. Slurm does so itself once the whole array that they wait for has
/// ended, so that it does not matter if it refuses.
void cancel_doomed(Moment const& now) {
  for (std::size_t i = 0; i < now.graph.size(); ++i)
    for (auto const& id : now.standings[i].doomed) {
      log_warning(now.graph[i].name + ": job " + id + " waits for one that ended without its results: cancelled");
      run_captured({"scancel", id}, Stderr::capture);
    }
}

/// What failed, a line each; in a wave without what it submits again. @returns how many
std::size_t say_failures(Moment const& now, Options const& options) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < now.graph.size(); ++i)
    for (auto const& failure : now.standings[i].failures) {
      if (options.wave && !failure.stays()) continue;
      log_warning(failure_line(now.graph[i], failure));
      ++count;
    }
  return count;
}

Exit submit_wave(Moment& now, Options const& options) {
  auto const failures = say_failures(now, options);
  say_elsewhere(now);
  cancel_doomed(now);
  bool const alone = std::all_of(now.standings.begin(), now.standings.end(),
                                 [](JobStanding const& standing) { return standing.jobs.empty(); });
  if (now.wave.turns.empty() && now.wave.more && alone)
    throw Error("there is no place for one more job: the site lets you have " +
                    std::to_string(now.limits.jobs.value_or(0)) + " (" + now.limits.jobs_from + "), and " +
                    std::to_string(now.queue.size()) + " wait or run",
                "run this again once some have ended");
  for (auto const& turn : now.wave.turns) submit(now, turn);
  bool const finished = std::all_of(now.standings.begin(), now.standings.end(),
                                    [](JobStanding const& standing) { return standing.done(); });
  bool const next_is_needed = now.wave.more && !now.next_wave_waits();
  if (next_is_needed && !now.wave.place_for_next) {
    log_warning("no place is left for the job that submits the next wave: run this again once jobs have ended");
  } else if (next_is_needed) {
    auto const call = now.next_wave();
    std::cout << call.show() << "\n";
    std::cout << "the next wave: job " << call.submit() << std::endl;
  }
  std::cout << (finished ? "the study is complete: " + archive_file(now.study).string() : summary_line(now.standings))
            << "\n";
  if (options.wave && failures > 0)
    throw Error(std::to_string(failures) + " failed, a line above each: what depends on them stays where it is",
                "put it right, then: refrain-study run " + now.study.file.string(), {.file = now.study.folder});
  return Exit::success;
}

}  // namespace

Exit run_study(Options const& options) {
  auto const environment = current_environment();
  auto const file = find_study(options.files.front());
  auto study = read_study(file, environment);
  if (options.dry_run) {
    auto const now = look_now(std::move(study), options, environment);
    std::cout << dry_run_text(now.graph, now.standings, now.wave, now.limits, estimate_training(now.study),
                              estimate_asking(now.study));
    return Exit::success;
  }
  require_sbatch();
  make_folders(log_folder(study));
  auto const lock = lock_study(study.folder);
  auto now = look_now(std::move(study), options, environment);
  return submit_wave(now, options);
}

}  // namespace refrain::study
