#include <refrain/base/error.hpp>
#include <refrain/base/log.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/slurm.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <sstream>
#include <thread>

namespace refrain::study {

namespace {

int to_int(std::string const& text, std::string const& name) {
  int value = 0;
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size())
    throw Error(name + " is '" + text + "', not a number",
                "run this inside a job that Slurm started, or unset SLURM_JOB_ID");
  return value;
}

/// Runs a command of Slurm's, again and again while the controller is away: it is being restarted, or its host.
Captured ask_controller(Words const& command, Variables const& variables = {}) {
  using Clock = std::chrono::steady_clock;
  constexpr auto pause = std::chrono::seconds(5);
  auto const until = Clock::now() + std::chrono::minutes(30);  // it has to come back: nobody else puts jobs back
  for (bool said = false;; said = true) {
    auto answer = run_captured(command, Stderr::capture, variables);
    bool const away = answer.code != 0 && answer.text.find("Unable to contact slurm controller") != std::string::npos;
    if (!away || Clock::now() > until) return answer;
    if (!said) log_line("Slurm's controller does not answer: waiting for it");
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace

SlurmConfig parse_slurm_config(std::string const& text) {
  SlurmConfig config;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto const equals = line.find(" = ");
    if (equals == std::string::npos) continue;
    auto const key = line.substr(0, line.find_last_not_of(' ', equals) + 1);
    auto const value = line.substr(equals + 3);
    config[key] = value == "(null)" ? std::string{} : value;
  }
  return config;
}

Variables without_slurm_variables() {
  Variables variables;
  for (auto const& [name, value] : current_environment())
    if (name.starts_with("SLURM_") && name != "SLURM_CONF") variables[name] = "";
  return variables;
}

std::string Allocation::id() const { return array_index ? array_job + "_" + std::to_string(*array_index) : job; }

std::vector<int> expand_counts(std::string const& text) {
  std::vector<int> counts;
  for (std::size_t begin = 0; begin < text.size();) {
    auto const end = std::min(text.find(',', begin), text.size());
    auto const part = text.substr(begin, end - begin);
    auto const times = part.find("(x");
    int const repeat =
        times == std::string::npos ? 1 : to_int(part.substr(times + 2, part.size() - times - 3), "a count of Slurm");
    counts.insert(counts.end(), std::max(repeat, 0), to_int(part.substr(0, times), "a count of Slurm"));
    begin = end + 1;
  }
  return counts;
}

std::optional<Allocation> read_allocation(Environment const& environment) {
  Allocation allocation{.job = value_of(environment, "SLURM_JOB_ID")};
  if (allocation.job.empty()) return {};
  allocation.array_job = value_of(environment, "SLURM_ARRAY_JOB_ID");
  if (auto const index = value_of(environment, "SLURM_ARRAY_TASK_ID"); !index.empty())
    allocation.array_index = to_int(index, "SLURM_ARRAY_TASK_ID");
  if (auto const restarts = value_of(environment, "SLURM_RESTART_COUNT"); !restarts.empty())
    allocation.restarts = to_int(restarts, "SLURM_RESTART_COUNT");

  allocation.tasks_per_node = expand_counts(value_of(environment, "SLURM_TASKS_PER_NODE"));
  if (allocation.tasks_per_node.empty()) allocation.tasks_per_node = {1};
  allocation.nodes = static_cast<int>(allocation.tasks_per_node.size());
  allocation.tasks = 0;
  for (int const count : allocation.tasks_per_node) allocation.tasks += count;

  auto cpus = expand_counts(value_of(environment, "SLURM_JOB_CPUS_PER_NODE"));
  cpus.resize(allocation.tasks_per_node.size(), cpus.empty() ? 1 : cpus.back());
  allocation.cpus_per_task = cpus.front() / std::max(allocation.tasks_per_node.front(), 1);
  for (std::size_t i = 1; i < cpus.size(); ++i)
    allocation.cpus_per_task = std::min(allocation.cpus_per_task, cpus[i] / std::max(allocation.tasks_per_node[i], 1));
  return allocation;
}

bool in_job() { return read_allocation(current_environment()).has_value(); }

std::string start_line(Words const& command, std::string const& index) {
  if (in_job()) return "sbatch " + (index.empty() ? "" : "--array=" + index + " ") + "slurm/" + command.back() + ".sh";
  return "refrain-study " + join_words(command) + (index.empty() ? "" : " --index " + index);
}

std::string start_line_up_to(Words const& command, int64_t last) {
  auto const range = std::to_string(last);
  return in_job() ? start_line(command, "0-" + range) : "give --index 0 to " + range;
}

void check_allocation(Allocation const& allocation, int tensor_parallel, std::string const& script) {
  auto const [fewest, most] = std::minmax_element(allocation.tasks_per_node.begin(), allocation.tasks_per_node.end());
  // A tensor-parallel group stays within a node where it can: groups a node if they fit, else one group over whole
  // nodes.
  int const per_node = *most >= tensor_parallel ? *most / tensor_parallel * tensor_parallel : tensor_parallel;
  std::string const line =
      "sbatch" + (allocation.array_index ? " --array=" + std::to_string(*allocation.array_index) : std::string{}) +
      " --nodes=" + std::to_string(allocation.nodes) + " --ntasks-per-node=" + std::to_string(per_node);
  if (*fewest != *most)
    throw Error("job " + allocation.id() + " has " + std::to_string(*fewest) + " tasks on one node and " +
                    std::to_string(*most) + " on another",
                line + " " + script);
  if (allocation.tasks % tensor_parallel != 0)
    throw Error("job " + allocation.id() + " has " + std::to_string(allocation.tasks) +
                    " tasks, which do not divide into groups of " + std::to_string(tensor_parallel) +
                    " (tensor parallel)",
                line + " " + script);
  if (allocation.cpus_per_task < 1)
    throw Error("job " + allocation.id() + " has fewer CPUs than its " + std::to_string(*most) + " tasks on a node",
                line + " --cpus-per-task=1 " + script + ", or SBATCH_EXCLUSIVE=exclusive in env/site.sh");
}

JobRecord::JobRecord(std::string text) : text_(std::move(text)) {
  if (auto const next = text_.find("\nJobId="); next != std::string::npos) text_.resize(next);
}

std::string JobRecord::get(std::string const& key) const {
  for (std::size_t at = text_.find(key + "="); at != std::string::npos; at = text_.find(key + "=", at + 1)) {
    if (at > 0 && text_[at - 1] != ' ' && text_[at - 1] != '\n') continue;
    auto const begin = at + key.size() + 1;
    bool const is_path = key == "Command" || key == "StdOut" || key == "WorkDir";
    auto const end = std::min(text_.find_first_of(is_path ? "\n" : " \n", begin), text_.size());
    auto const value = text_.substr(begin, end - begin);
    return value == "(null)" ? std::string{} : value;
  }
  return {};
}

JobRecord ask_job(Allocation const& allocation) {
  if (!in_path("scontrol")) return JobRecord({});
  auto const answer = ask_controller({"scontrol", "show", "job", allocation.id()});
  return JobRecord(answer.code == 0 ? answer.text : std::string{});
}

Words resubmission(Allocation const& allocation, JobRecord const& record, std::string const& script) {
  Words line{"sbatch", "--parsable", "--dependency=afterany:" + allocation.id()};
  if (allocation.array_index) line.push_back("--array=" + std::to_string(*allocation.array_index));
  line.push_back("--nodes=" + std::to_string(allocation.nodes));
  line.push_back("--ntasks-per-node=" + std::to_string(allocation.tasks_per_node.front()));
  auto const copy = [&](std::string const& key, std::string const& option) {
    if (auto const value = record.get(key); !value.empty()) line.push_back(option + "=" + value);
  };
  copy("JobName", "--job-name");
  copy("TimeLimit", "--time");
  copy("Partition", "--partition");
  copy("Account", "--account");
  copy("QOS", "--qos");
  copy("StdOut", "--output");
  if (auto const gres = record.get("TresPerNode"); gres.size() > 5)
    line.push_back("--gres=" + gres.substr(5));  // "gres:" or "gres/"
  // Zero memory is what a job shows that asked for none, or for all of its nodes'.
  if (auto const memory = record.get("MinMemoryNode"); !memory.empty() && memory != "0")
    line.push_back("--mem=" + memory);
  if (auto const memory = record.get("MinMemoryCPU"); !memory.empty() && memory != "0")
    line.push_back("--mem-per-cpu=" + memory);
  if (auto const cpus = record.get("CPUs/Task"); !cpus.empty() && cpus != "1")
    line.push_back("--cpus-per-task=" + cpus);
  if (record.get("OverSubscribe") == "NO") line.push_back("--exclusive");
  auto const command = record.get("Command");
  line.push_back(command.empty() ? script : command);
  return line;
}

bool was_cancelled(JobRecord const& record) {
  auto const state = record.get("JobState"), reason = record.get("Reason");
  // A job that is being ended shows COMPLETING for whatever ended it; what is not its user's doing leaves a reason.
  return state.find("CANCELLED") != std::string::npos ||
         (state == "COMPLETING" && reason != "TimeLimit" && reason != "NodeDown" &&
          reason.find("Preempt") == std::string::npos);
}

bool was_requeued(Allocation const& allocation, JobRecord const& record) {
  auto const state = record.get("JobState");
  return state == "PENDING" || state == "REQUEUED" || std::atoi(record.get("Restarts").c_str()) > allocation.restarts;
}

std::string put_back(Allocation const& allocation, std::string const& script) {
  auto const record = ask_job(allocation);
  if (was_requeued(allocation, record)) return "Slurm has requeued job " + allocation.id() + " itself";
  if (was_cancelled(record))
    return "job " + allocation.id() + " was cancelled and is not requeued; the same sbatch goes on from there";

  // A requeue ends this job's processes, scontrol with them, perhaps before it has its answer.
  auto const code = ask_controller({"scontrol", "requeue", allocation.id()}).code;
  if (code == 0 || code > 128) return "requeued job " + allocation.id();
  auto const line = resubmission(allocation, record, script);
  auto const submitted = ask_controller(line, without_slurm_variables());
  if (submitted.code != 0)
    throw Error("job " + allocation.id() +
                    " could be neither requeued nor submitted again: " + first_line(submitted.text),
                join_words(line));
  return "requeue is refused here; submitted again as job " +
         submitted.text.substr(0, submitted.text.find_first_of(";\n"));
}

}  // namespace refrain::study
