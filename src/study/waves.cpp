#include <refrain/base/folder_lock.hpp>
#include <refrain/study/run_folder.hpp>
#include <refrain/study/submissions.hpp>
#include <refrain/study/waves.hpp>

#include <algorithm>
#include <cmath>
#include <map>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// The job of the queue that holds the lock of a run folder, whatever its name; null if none does.
QueuedJob const* find_holder(Queue const& queue, fs::path const& run) {
  auto const sight = look_at_lock(run / "lock");
  if (!sight || sight->job.empty()) return nullptr;
  auto const found =
      std::find_if(queue.begin(), queue.end(), [&](QueuedJob const& job) { return job.number == sight->job; });
  return found == queue.end() ? nullptr : &*found;
}

bool holds(Words const& ids, std::string const& id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }

bool is_of(StudySubmission const& submission, JobPart const& part) {
  return !part.index ||
         std::find(submission.indices.begin(), submission.indices.end(), *part.index) != submission.indices.end();
}

/// What the queue has of one job, for each part. It is known by its name: a cluster whose controller was set up anew
/// gives other jobs the ids of this study's.
std::vector<Queue> find_in_queue(StudyJob const& job, Queue const& queue) {
  std::vector<Queue> found(job.parts.size());
  for (auto const& queued : queue) {
    if (queued.name != job.call.job_name) continue;
    for (std::size_t i = 0; i < job.parts.size(); ++i)
      if (!job.is_array() || job.parts[i].index == queued.index) found[i].push_back(queued);
  }
  return found;
}

/// The id of a job with another name that trains the member; empty if none does.
std::string find_trainer(Submissions const& by_hand, fs::path const& run, Queue const& queue) {
  if (auto const* const queued = by_hand.recorded(run.filename().string(), queue)) return queued->array_job;
  auto const* const holder = find_holder(queue, run);
  return holder ? holder->id : std::string{};
}

/// Takes the jobs of this name out of the queue that wait for one of `broken`. @returns their ids
Words take_doomed(Queue& queue, std::string const& name, Words const& broken) {
  Words taken;
  std::erase_if(queue, [&](QueuedJob const& each) {
    bool const doomed = each.name == name && std::any_of(each.behind.begin(), each.behind.end(),
                                                         [&](std::string const& id) { return holds(broken, id); });
    if (doomed && !holds(taken, each.array_job)) taken.push_back(each.array_job);
    return doomed;
  });
  return taken;
}

/// Adds the ids of submissions that no `afterok` can hold for: of a part of theirs neither results nor the queue's job
/// are there.
void add_broken(Words& broken, StudyJob const& job, std::vector<Queue> const& queued,
                std::vector<StudySubmission> const& submissions) {
  for (std::size_t i = 0; i < job.parts.size(); ++i) {
    if (job.parts[i].made()) continue;
    for (auto const& submission : submissions) {
      bool const is_there = std::any_of(queued[i].begin(), queued[i].end(),
                                        [&](QueuedJob const& each) { return each.array_job == submission.job; });
      if (is_there || !is_of(submission, job.parts[i])) continue;
      broken.push_back(submission.job);
      if (job.parts[i].index) broken.push_back(submission.job + "_" + std::to_string(*job.parts[i].index));
    }
  }
}

/// The last submission that the part was in.
StudySubmission const* last_submission(JobPart const& part, std::vector<StudySubmission> const& submissions) {
  auto const found = std::find_if(submissions.rbegin(), submissions.rend(),
                                  [&](StudySubmission const& each) { return is_of(each, part); });
  return found == submissions.rend() ? nullptr : &*found;
}

/// Whether a submission was of the job as it is now: over the same configurations and judges, and behind the last of
/// all that it needs. What the study has grown by since is no failure of it.
bool is_of_now(StudySubmission const& submission, StudyJob const& job, StudyState const& state) {
  for (auto const* name : {"REFRAIN_STUDY", "REFRAIN_GUARDS"})
    if (!submission.variables.empty() && value_of(submission.variables, name) != value_of(job.call.variables, name))
      return false;
  return std::all_of(job.needs.begin(), job.needs.end(), [&](std::string const& need) {
    auto const& before = state.of(need);
    return before.empty() || before.back().time <= submission.time;
  });
}

/// @param queue loses what can never begin
/// @param broken as of the jobs before, and then of this one too
JobStanding look_at(StudyJob const& job, StudyState const& state, Queue& queue, bool needs_made, Words& broken) {
  auto const& submissions = state.of(job.name);
  // Of the stages that read what all models have made, a result counts only if all of that is made.
  bool const counts = needs_made || job.stage <= Stage::generate;
  JobStanding standing;
  standing.doomed = take_doomed(queue, job.call.job_name, broken);
  auto const queued = find_in_queue(job, queue);
  add_broken(broken, job, queued, submissions);
  std::optional<Submissions> by_hand;  // `submit` shares the run folders
  if (job.stage == Stage::train) by_hand.emplace(job.parts.front().work.parent_path());
  for (std::size_t i = 0; i < job.parts.size(); ++i) {
    auto const& part = job.parts[i];
    Words ids;  // of an array that has lost a member, those of the others
    for (auto const& each : queued[i]) ids.push_back(holds(broken, each.array_job) ? each.id : each.array_job);
    if (ids.empty() && by_hand)
      if (auto const id = find_trainer(*by_hand, part.work, queue); !id.empty()) ids.push_back(id);
    if (!ids.empty()) {
      ++standing.under_way;
      for (auto const& id : ids)
        if (!holds(standing.jobs, id)) standing.jobs.push_back(id);
      continue;
    }
    if (counts && part.made()) continue;
    if (auto const holder = job.stage == Stage::train ? RunFolder(part.work).worker() : std::string{};
        !holder.empty()) {
      ++standing.under_way;
      standing.elsewhere.push_back({i, holder});
      continue;
    }
    standing.left.push_back(i);
    if (auto const* last = last_submission(part, submissions); last && needs_made && is_of_now(*last, job, state))
      standing.failures.push_back({.part = i, .submission = *last, .began = fs::exists(log_of(job, part, last->job))});
  }
  auto at_once = static_cast<int64_t>(standing.under_way);
  if (!submissions.empty() && submissions.back().at_once > 0) at_once = std::min(at_once, submissions.back().at_once);
  standing.bytes = static_cast<double>(at_once) * job.bytes;
  return standing;
}

/// Fills the room, without a place for the next wave.
class Filling {
public:
  Filling(std::vector<StudyJob> const& graph, std::vector<JobStanding> const& standings, Room const& room)
      : graph_(graph), standings_(standings), room_(room), whole_(graph.size()), stuck_(graph.size()) {
    for (std::size_t i = 0; i < graph.size(); ++i) places_[graph[i].name] = i;
    if (room_.bytes)
      for (auto const& standing : standings) *room_.bytes -= standing.bytes;
    for (std::size_t i = 0; i < graph.size(); ++i) fill(i);
  }

  Wave wave;

private:
  void fill(std::size_t place) {
    auto const& job = graph_[place];
    auto parts = standings_[place].left;
    auto const left = parts.size();
    if (room_.failed_stay)
      for (auto const& failure : standings_[place].failures)
        if (failure.stays()) std::erase(parts, failure.part);
    bool ready = true;
    bool const elsewhere = !standings_[place].elsewhere.empty();
    stuck_[place] = parts.size() < left || elsewhere;
    for (auto const& need : job.needs) {
      ready = ready && whole_[places_.at(need)];
      stuck_[place] = stuck_[place] || stuck_[places_.at(need)];
    }
    auto const wanted = parts.size();
    if (!ready) parts.clear();
    if (room_.jobs) parts.resize(std::min(parts.size(), static_cast<std::size_t>(std::max<int64_t>(*room_.jobs, 0))));
    int64_t at_once = 0;
    if (room_.bytes && job.bytes > 0 && !parts.empty()) {
      auto const fitting = static_cast<int64_t>(std::floor(*room_.bytes / job.bytes));
      if (fitting < 1) parts.clear();
      if (fitting < static_cast<int64_t>(parts.size())) at_once = fitting;
      *room_.bytes -= job.bytes * static_cast<double>(at_once > 0 ? at_once : static_cast<int64_t>(parts.size()));
    }
    if (room_.jobs) *room_.jobs -= static_cast<int64_t>(parts.size());
    whole_[place] = parts.size() == left && !elsewhere;
    // What waits for a failure, or for who is no job, is left for the user; what waits for room or for others is not.
    if (parts.size() < wanted && (ready || !stuck_[place])) wave.more = true;
    if (!parts.empty()) wave.turns.push_back({.job = place, .parts = parts, .at_once = at_once});
  }

  std::vector<StudyJob> const& graph_;
  std::vector<JobStanding> const& standings_;
  Room room_;
  std::vector<char> whole_;  ///< made, under way, or in this wave, with all parts
  std::vector<char> stuck_;  ///< behind a failure that stays, or who is no job
  std::map<std::string, std::size_t> places_;
};

}  // namespace

fs::path log_of(StudyJob const& job, JobPart const& part, std::string const& id) {
  auto const index = part.index ? "_" + std::to_string(*part.index) : std::string{};
  return job.call.folder / (job.call.job_name + "-" + id + index + ".log");
}

std::vector<JobStanding> look(std::vector<StudyJob> const& graph, StudyState const& state, Queue& queue) {
  std::vector<JobStanding> standings;
  std::map<std::string, bool> made;
  Words broken;
  for (auto const& job : graph) {
    bool const needs_made =
        std::all_of(job.needs.begin(), job.needs.end(), [&](auto const& need) { return made.at(need); });
    standings.push_back(look_at(job, state, queue, needs_made, broken));
    made[job.name] = standings.back().done();
  }
  return standings;
}

Wave plan_wave(std::vector<StudyJob> const& graph, std::vector<JobStanding> const& standings, Room const& room) {
  auto const wave = Filling(graph, standings, room).wave;
  if (!wave.more || !room.jobs) return wave;
  Room smaller = room;
  smaller.jobs = *room.jobs - 1;
  auto const kept = Filling(graph, standings, smaller).wave;
  if (!kept.turns.empty()) return kept;
  auto whole = wave;
  whole.place_for_next = *room.jobs > static_cast<int64_t>(whole.turns.size());
  return whole;
}

Sbatch make_call(std::vector<StudyJob> const& graph, std::vector<JobStanding> const& standings, Turn const& turn) {
  auto const& job = graph[turn.job];
  auto call = job.call;
  std::string ids;
  for (auto const& need : job.needs)
    for (std::size_t i = 0; i < graph.size(); ++i) {
      if (graph[i].name != need) continue;
      for (auto const& id : standings[i].jobs) ids += ":" + id;
      if (!standings[i].left.empty()) ids += ":" + need;
    }
  if (!ids.empty()) call.dependencies = {"afterok" + ids};
  std::vector<int64_t> indices;
  for (auto const part : turn.parts)
    if (job.parts[part].index) indices.push_back(*job.parts[part].index);
  if (job.is_array()) call.array = format_array(indices, turn.at_once);
  return call;
}

}  // namespace refrain::study
