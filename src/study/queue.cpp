#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/log.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/queue.hpp>

#include <algorithm>
#include <map>
#include <sstream>

#include <unistd.h>

namespace refrain::study {

namespace {

bool is_number(std::string const& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

/// The ids in "afterok:12_*(unfulfilled),afterok:13(unfulfilled)": 12 and 13, and "12_1" of a member.
std::vector<std::string> ids_in(std::string const& dependencies) {
  std::vector<std::string> ids;
  for (auto colon = dependencies.find(':'); colon != std::string::npos; colon = dependencies.find(':', colon + 1)) {
    auto const end = std::min(dependencies.find_first_not_of("0123456789_", colon + 1), dependencies.size());
    auto id = dependencies.substr(colon + 1, end - colon - 1);
    if (id.ends_with('_')) id.pop_back();
    ids.push_back(std::move(id));
  }
  return ids;
}

}  // namespace

Queue read_queue(std::string const& listing) {
  Queue queue;
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    QueuedJob job;
    std::string index;
    if (!(words >> job.array_job >> index >> job.state >> job.number) || !is_number(job.array_job)) continue;
    std::getline(words >> std::ws, job.name);
    if (auto const bar = job.name.rfind('|'); bar != std::string::npos) {
      job.behind = ids_in(job.name.substr(bar));
      job.name.resize(bar);
    }
    if (is_number(index)) job.index = std::stoll(index);  // "N/A" outside an array
    job.id = job.array_job + (job.index ? "_" + index : "");
    queue.push_back(std::move(job));
  }
  return queue;
}

Queue ask_queue(int seconds) {
  constexpr int timed_out = 124;  // timeout's exit code
  if (!in_path("squeue")) return {};
  auto const limit = std::to_string(seconds);
  auto const answer = run_captured({"timeout", limit, "squeue", "--noheader", "--array",
                                    "--user=" + std::to_string(getuid()), "--format=%F %K %T %A %j|%E"},
                                   Stderr::capture);
  if (answer.code != 0)
    throw Error("squeue does not answer (" +
                    (answer.code == timed_out ? "nothing within " + limit + " s" : first_line(answer.text)) + ")",
                "try again once Slurm does");
  return read_queue(answer.text);
}

Queue ask_queue_to_print() try { return ask_queue(); } catch (Error const& error) {
  log_warning("what is under way is not known: " + error.problem());
  return {};
}

std::string state_in(Queue const& queue, std::string const& job) {
  auto const found = std::find_if(queue.begin(), queue.end(),
                                  [&](QueuedJob const& each) { return each.id == job || each.number == job; });
  return found == queue.end() ? std::string{} : found->state;
}

std::string queue_text(Queue const& queue) {
  std::map<std::string, std::map<std::string, int>> counts;  // by name and state
  for (auto const& job : queue) ++counts[job.name][job.state];
  std::vector<std::string> names;
  for (auto const& [name, states] : counts) {
    std::vector<std::string> texts;
    for (auto const& [state, count] : states) texts.push_back(std::to_string(count) + " " + state);
    names.push_back(name + ": " + joined(texts));
  }
  return joined(names, "; ");
}

}  // namespace refrain::study
