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

/// What the queue has of one job: the ids for each part that waits or runs. It is known by its name: a cluster whose
/// controller was set up anew gives other jobs the ids of this study's.
std::vector<Words> find_in_queue(StudyJob const& job, Queue const& queue) {
  std::vector<Words> found(job.parts.size());
  for (auto const& queued : queue) {
    if (queued.name != job.call.job_name) continue;
    for (std::size_t i = 0; i < job.parts.size(); ++i)
      if (!job.is_array() || job.parts[i].index == queued.index) found[i].push_back(queued.array_job);
  }
  if (job.stage != Stage::train) return found;
  Submissions const by_hand(job.parts.front().work.parent_path());  // `submit` shares the run folders
  for (std::size_t i = 0; i < job.parts.size(); ++i) {
    if (!found[i].empty()) continue;
    auto const& run = job.parts[i].work;
    if (auto const* const queued = by_hand.recorded(run.filename().string(), queue))
      found[i].push_back(queued->array_job);
    else if (auto const* const holder = find_holder(queue, run))
      found[i].push_back(holder->id);
  }
  return found;
}

/// The last submission that the part was in.
StudySubmission const* last_submission(JobPart const& part, std::vector<StudySubmission> const& submissions) {
  auto const found = std::find_if(submissions.rbegin(), submissions.rend(), [&](StudySubmission const& each) {
    return !part.index || std::find(each.indices.begin(), each.indices.end(), *part.index) != each.indices.end();
  });
  return found == submissions.rend() ? nullptr : &*found;
}

JobStanding look_at(StudyJob const& job, std::vector<StudySubmission> const& submissions, Queue const& queue,
                    bool needs_made) {
  // Of the stages that read what all models have made, a result counts only if all of that is made.
  bool const counts = needs_made || job.stage <= Stage::generate;
  auto const queued = find_in_queue(job, queue);
  JobStanding standing;
  for (std::size_t i = 0; i < job.parts.size(); ++i) {
    auto const& part = job.parts[i];
    if (!queued[i].empty()) {
      ++standing.under_way;
      for (auto const& id : queued[i])
        if (std::find(standing.jobs.begin(), standing.jobs.end(), id) == standing.jobs.end())
          standing.jobs.push_back(id);
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
    if (auto const* last = last_submission(part, submissions); last && needs_made)
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

std::vector<JobStanding> look(std::vector<StudyJob> const& graph, StudyState const& state, Queue const& queue) {
  std::vector<JobStanding> standings;
  std::map<std::string, bool> made;
  for (auto const& job : graph) {
    bool const needs_made =
        std::all_of(job.needs.begin(), job.needs.end(), [&](auto const& need) { return made.at(need); });
    standings.push_back(look_at(job, state.of(job.name), queue, needs_made));
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
