#include <refrain/base/error.hpp>
#include <refrain/study/job_limits.hpp>
#include <refrain/study/process.hpp>

#include <charconv>
#include <sstream>

#include <pwd.h>
#include <unistd.h>

namespace refrain::study {

namespace {

std::optional<int64_t> whole_number(std::string const& text) {
  int64_t value = 0;
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || value < 0) return {};
  return value;
}

/// The number behind `key` in lines such as "MaxArraySize            = 1001".
std::optional<int64_t> config_number(std::string const& config, std::string const& key) {
  std::istringstream lines(config);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name, equals, value;
    if (words >> name >> equals >> value && name == key && equals == "=") return whole_number(value);
  }
  return {};
}

/// What a program prints on stdout, or nothing if it is not there or fails: a site need not have it.
std::string answer_of(Words const& command) {
  if (!in_path(command.front())) return {};
  auto const answer = run_captured(command, Stderr::capture);
  return answer.code == 0 ? answer.text : std::string{};
}

/// As Slurm's commands take it.
std::string user_name() {
  auto const* const entry = getpwuid(getuid());
  return entry != nullptr ? entry->pw_name : std::to_string(getuid());
}

}  // namespace

JobLimits read_limits(std::string const& config, std::string const& associations, std::optional<int64_t> wanted) {
  JobLimits limits;
  limits.array_size = config_number(config, "MaxArraySize");
  auto const lower = [&](std::optional<int64_t> jobs, char const* from) {
    if (!jobs || (limits.jobs && *limits.jobs <= *jobs)) return;
    limits.jobs = jobs;
    limits.jobs_from = from;
  };
  if (wanted) {
    lower(wanted, "REFRAIN_MAX_JOBS");
    return limits;
  }
  lower(config_number(config, "MaxJobCount"), "MaxJobCount of slurm.conf");
  std::istringstream lines(associations);
  for (std::string line; std::getline(lines, line);) lower(whole_number(line), "MaxSubmitJobs of the account");
  return limits;
}

JobLimits ask_limits(Environment const& environment) {
  auto const value = [&](char const* name) {
    auto const found = environment.find(name);
    return found == environment.end() ? std::string{} : found->second;
  };
  std::optional<int64_t> wanted;
  if (auto const text = value("REFRAIN_MAX_JOBS"); !text.empty()) {
    wanted = whole_number(text);
    if (!wanted || *wanted == 0)
      throw UsageError("REFRAIN_MAX_JOBS is '" + text + "', not a whole number above 0",
                       "set it to the number of jobs that the site lets one user have, such as 200");
  }
  Words associations{"sacctmgr",     "--noheader",           "--parsable2", "show",
                     "associations", "format=MaxSubmitJobs", "where",       "user=" + user_name()};
  if (auto const account = value("SBATCH_ACCOUNT"); !account.empty()) associations.push_back("account=" + account);
  return read_limits(answer_of({"scontrol", "show", "config"}), wanted ? "" : answer_of(associations), wanted);
}

std::vector<QueuedJob> read_queue(std::string const& listing) {
  std::vector<QueuedJob> jobs;
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    QueuedJob job;
    std::string index;
    if (!(words >> job.array_job >> index >> job.state)) continue;
    std::getline(words >> std::ws, job.name);
    job.index = whole_number(index);  // "N/A" outside an array
    job.id = job.array_job + (job.index ? "_" + index : "");
    jobs.push_back(std::move(job));
  }
  return jobs;
}

std::vector<QueuedJob> ask_queue() {
  if (!in_path("squeue")) return {};
  auto const answer = run_captured({"squeue", "--noheader", "--array", "--user=" + user_name(), "--format=%F %K %T %j"},
                                   Stderr::capture);
  if (answer.code != 0)
    throw Error("squeue does not answer: " + answer.text.substr(0, answer.text.find('\n')),
                "try again once Slurm does");
  return read_queue(answer.text);
}

}  // namespace refrain::study
