#include <refrain/base/counted.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/study/run_folder.hpp>
#include <refrain/study/study_page.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace refrain::study {

namespace {

std::string number(double value, char const* unit) {
  std::string text(32, '\0');
  text.resize(static_cast<std::size_t>(std::snprintf(text.data(), text.size(), value < 9.95 ? "%.1f" : "%.0f", value)));
  return text + " " + unit;
}

/// "made", "under way as job 12", "1 job to submit behind 8b/shard".
std::string standing_text(StudyJob const& job, JobStanding const& standing, bool now) {
  std::string text;
  if (standing.under_way > 0) text = std::to_string(standing.under_way) + " under way";
  if (!standing.jobs.empty()) text += " as job " + joined(standing.jobs);
  for (auto const& each : standing.elsewhere) text += ", " + each.holder;
  if (!standing.left.empty()) {
    text += (text.empty() ? "" : ", ") + counted(standing.left.size(), "job") + (now ? " now" : " in a later wave");
    if (!job.needs.empty()) text += ", behind " + joined(job.needs);
  }
  return text.empty() ? "made" : text;
}

std::string estimate_text(Estimate const& estimate) {
  if (!estimate.missing.empty()) return "no estimate: " + estimate.missing;
  return std::to_string(estimate.pairs) + (estimate.assumed ? " pairs (assumed), " : " pairs, ") +
         number(estimate.node_hours(), "node hours on ") + std::to_string(estimate.nodes) + " x " +
         std::to_string(estimate.tasks_per_node) + ", at most " + format_bytes(estimate.peak_bytes) +
         " a member on disk, " + format_bytes(estimate.kept_bytes) + " kept" +
         (estimate.fits ? "" : "; does not fit in memory: refrain-train --plan says what would");
}

std::string limit_text(JobLimits const& limits, std::size_t now, std::size_t all) {
  auto const who = limits.jobs ? "limit: " + counted(*limits.jobs, "job") + " (" + limits.jobs_from + "); "
                               : std::string("limit: none known; ");
  return who + counted(now, "job") + " now, " + std::to_string(all - now) + " in later waves\n";
}

std::string estimate_text(AskingEstimate const& estimate) {
  if (!estimate.missing.empty()) return "no estimate: " + estimate.missing;
  auto const* const what = estimate.stage == Stage::generate ? "answer" : "verdict";
  return counted(estimate.asked.requests, what) + " of up to " + std::to_string(std::llround(estimate.asked.written)) +
         " tokens" + (estimate.assumed ? " (assumed), " : ", ") + number(estimate.node_hours(), "node hours on ") +
         std::to_string(estimate.nodes) + " x " + std::to_string(estimate.tasks_per_node);
}

/// GPU hours and node hours of several jobs.
struct Hours {
  double gpu = 0, nodes = 0;

  template <class OneEstimate>
  void add(OneEstimate const& each) {
    gpu += each.gpu_hours;
    nodes += each.node_hours();
  }
  std::string text() const { return number(gpu, "GPU hours") + ", " + number(nodes, "node hours"); }
};

std::string training_sum(std::vector<Estimate> const& estimates, Hours& all) {
  double peak = 0, kept = 0;
  bool assumed = false;
  Hours hours;
  for (auto const& each : estimates) {
    hours.add(each);
    all.add(each);
    peak += each.members * each.peak_bytes;
    kept += each.members * each.kept_bytes;
    assumed = assumed || each.assumed;
  }
  return "training: " + hours.text() + "; on disk " + format_bytes(kept) + " in the end, at most " +
         format_bytes(peak) + " if all of it trains at once" +
         (assumed ? " (pairs as in the paper until they are sharded)" : "") + "\n";
}

/// What a line of sums is about.
enum class Asking { answers, judges };

std::string asking_sum(Asking about, std::vector<AskingEstimate> const& estimates, Hours& all) {
  bool assumed = false;
  Hours hours;
  for (auto const& each : estimates) {
    if ((each.stage == Stage::generate) != (about == Asking::answers)) continue;
    hours.add(each);
    all.add(each);
    assumed = assumed || each.assumed;
  }
  return (about == Asking::answers ? "answers: " : "judges: ") + hours.text() + " if all are as long as they may be" +
         (assumed ? " (prompts as in the paper)" : "") + "\n";
}

/// A line a stage, and one for all of them.
std::string sums(std::vector<Estimate> const& training, std::vector<AskingEstimate> const& asking) {
  auto const no_estimate = [](auto const& each) { return !each.missing.empty(); };
  Hours all;
  std::string text;
  if (std::any_of(training.begin(), training.end(), no_estimate) ||
      std::any_of(asking.begin(), asking.end(), no_estimate))
    text = "the sums are without the jobs that have no estimate\n";
  text +=
      training_sum(training, all) + asking_sum(Asking::answers, asking, all) + asking_sum(Asking::judges, asking, all);
  return text + "in all: " + all.text() + "\n";
}

}  // namespace

std::string dry_run_text(std::vector<StudyJob> const& graph, std::vector<JobStanding> const& standings,
                         Wave const& wave, JobLimits const& limits, std::vector<Estimate> const& training,
                         std::vector<AskingEstimate> const& asking) {
  std::string text;
  std::size_t now = 0, all = 0;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    auto const& job = graph[i];
    auto const& left = standings[i].left;
    auto const turn =
        std::find_if(wave.turns.begin(), wave.turns.end(), [&](Turn const& each) { return each.job == i; });
    bool const in_wave = turn != wave.turns.end();
    all += left.size();
    if (in_wave) now += turn->parts.size();
    text += job.name + ": " + standing_text(job, standings[i], in_wave) + "\n";
    if (!left.empty()) {
      Turn const whole{.job = i, .parts = left, .at_once = in_wave ? turn->at_once : 0};
      text += "  " + make_call(graph, standings, in_wave ? *turn : whole).show() + "\n";
    }
    auto const add_estimate = [&](auto const& estimate) {
      if (estimate.job == job.name) text += "  " + estimate_text(estimate) + "\n";
    };
    std::for_each(training.begin(), training.end(), add_estimate);
    std::for_each(asking.begin(), asking.end(), add_estimate);
  }
  return text + limit_text(limits, now, all) + sums(training, asking);
}

std::string failure_line(StudyJob const& job, FailedPart const& failure) {
  auto const& part = job.parts[failure.part];
  auto const id = failure.submission.job + (part.index ? "_" + std::to_string(*part.index) : std::string{});
  std::string why, how = "failed";
  if (job.stage == Stage::train) {
    RunFolder const run(part.work);
    why = run.error();
    if (run.state() == "stopped") how = "stopped";  // by scancel, perhaps, and so `refrain-study status` calls it
  }
  if (!failure.began)
    return job.name + ": job " + id + " ended before it began: it was cancelled, or one that it waited for failed";
  return job.name + ": job " + id + " " + how + (why.empty() ? "" : ": " + why) + " [" + part.work.string() +
         "] (its log: " + log_of(job, part, failure.submission.job).string() + ")";
}

std::string summary_line(std::vector<JobStanding> const& standings) {
  std::size_t made = 0, under_way = 0;
  for (auto const& standing : standings) {
    if (standing.done()) ++made;
    if (standing.under_way > 0 && standing.left.empty()) ++under_way;
  }
  return std::to_string(made) + " of " + counted(standings.size(), "job") + " made, " + std::to_string(under_way) +
         " under way, " + std::to_string(standings.size() - made - under_way) + " to come";
}

}  // namespace refrain::study
