#include <refrain/base/error.hpp>
#include <refrain/study/job_limits.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/slurm.hpp>

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
  auto const settings = parse_slurm_config(config);
  limits.array_size = whole_number(value_of(settings, "MaxArraySize"));
  auto const lower = [&](std::optional<int64_t> jobs, char const* from) {
    if (!jobs || (limits.jobs && *limits.jobs <= *jobs)) return;
    limits.jobs = jobs;
    limits.jobs_from = from;
  };
  if (wanted) {
    lower(wanted, "REFRAIN_MAX_JOBS");
    return limits;
  }
  lower(whole_number(value_of(settings, "MaxJobCount")), "MaxJobCount of slurm.conf");
  std::istringstream lines(associations);
  for (std::string line; std::getline(lines, line);) lower(whole_number(line), "MaxSubmitJobs of the account");
  return limits;
}

std::optional<int64_t> wanted_jobs(Environment const& environment) {
  auto const text = value_of(environment, "REFRAIN_MAX_JOBS");
  if (text.empty()) return {};
  auto const wanted = whole_number(text);
  if (!wanted || *wanted == 0)
    throw UsageError("REFRAIN_MAX_JOBS is '" + text + "', not a whole number above 0",
                     "set it to the number of jobs that the site lets one user have, such as 200");
  return wanted;
}

JobLimits ask_limits(Environment const& environment) {
  auto const wanted = wanted_jobs(environment);
  Words associations{"sacctmgr",     "--noheader",           "--parsable2", "show",
                     "associations", "format=MaxSubmitJobs", "where",       "user=" + user_name()};
  if (auto const account = value_of(environment, "SBATCH_ACCOUNT"); !account.empty())
    associations.push_back("account=" + account);
  return read_limits(answer_of({"scontrol", "show", "config"}), wanted ? "" : answer_of(associations), wanted);
}

}  // namespace refrain::study
