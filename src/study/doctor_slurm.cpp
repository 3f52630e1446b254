#include <refrain/study/doctor_checks.hpp>
#include <refrain/study/launcher.hpp>
#include <refrain/study/process.hpp>

#include <algorithm>
#include <cstdlib>

namespace refrain::study {

namespace {

/// The first number of a value such as "30 sec"; `fallback` where there is none.
int64_t number_of(std::string const& value, int64_t fallback) {
  auto const at = value.find_first_of("0123456789");
  return at == std::string::npos ? fallback : std::atoll(value.c_str() + at);
}

Finding check_requeue(SlurmConfig const& config) {
  if (value_of(config, "JobRequeue") == "0")
    return {Health::warning, "JobRequeue", "0: jobs are requeued only where they ask for it",
            "keep --requeue in scripts of your own, as those of slurm/ have it"};
  return {Health::ok, "JobRequeue", "jobs may be requeued"};
}

Finding check_preemption(SlurmConfig const& config) {
  auto const mode = value_of(config, "PreemptMode");
  if (mode.find("CANCEL") != std::string::npos)
    return {Health::warning, "PreemptMode", mode + ": a preempted job is gone",
            "submit it again: it goes on from its last checkpoint"};
  return {Health::ok, "PreemptMode", mode.empty() ? "OFF" : mode};
}

/// Memory that is counted has to be asked for: else a job gets the default, or a whole node's.
Finding check_memory(SlurmConfig const& config, Environment const& environment) {
  std::string const subject = "memory";
  auto const parameters = value_of(config, "SelectTypeParameters");
  if (parameters.find("MEMORY") == std::string::npos) return {Health::ok, subject, "is not counted"};
  for (auto const* name : {"SBATCH_MEM_PER_NODE", "SBATCH_MEM_PER_CPU", "SBATCH_MEM_PER_GPU", "SBATCH_EXCLUSIVE"})
    if (auto const value = value_of(environment, name); !value.empty())
      return {Health::ok, subject, std::string("is counted, and ") + name + "=" + value};
  auto const per_cpu = value_of(config, "DefMemPerCPU"), per_node = value_of(config, "DefMemPerNode");
  bool const whole = per_cpu.empty() && (per_node.empty() || per_node == "UNLIMITED");
  return {Health::warning, subject,
          "is counted (" + parameters + "), and a job that asks for none gets " +
              (whole             ? "all of its nodes'"
               : per_cpu.empty() ? per_node + " MiB a node"
                                 : per_cpu + " MiB a CPU"),
          "export SBATCH_MEM_PER_NODE=0 in env/site.sh for whole nodes, or what a job needs"};
}

Finding check_array(SlurmConfig const& config, int64_t members) {
  auto const most = number_of(value_of(config, "MaxArraySize"), 1001) - 1;  // the greatest index is one less
  if (members - 1 > most)
    return {Health::broken, "MaxArraySize",
            "indices go up to " + std::to_string(most) + ", and the sweep has " + std::to_string(members) + " members",
            "split the table into several sweeps"};
  return {Health::ok, "MaxArraySize", "indices up to " + std::to_string(most)};
}

/// How long the ends of jobs take.
Finding check_times(SlurmConfig const& config) {
  auto const kill = number_of(value_of(config, "KillWait"), 30),
             node = number_of(value_of(config, "SlurmdTimeout"), 300);
  auto const info = value_of(config, "AuthInfo");
  auto const at = info.find("cred_expire=");
  auto const expire = at == std::string::npos ? 120 : number_of(info.substr(at), 120);
  auto const text = "a requeued job starts after " + std::to_string(expire) +
                    " s (cred_expire), a lost node is noticed " + "after " + std::to_string(node) +
                    " s (SlurmdTimeout), SIGKILL follows SIGTERM after " + std::to_string(kill) + " s (KillWait)";
  if (node == 0)
    return {Health::warning, "times", "a lost node is never noticed (SlurmdTimeout is 0)",
            "a job that hangs on one has to be requeued by hand: scontrol requeue JOB"};
  return {Health::ok, "times", text};
}

Finding check_mpi(SlurmConfig const& config, std::string const& wanted) {
  std::string const subject = "MPI types";
  auto const types = mpi_types(run_captured({"timeout", "20", "srun", "--mpi=list"}, Stderr::capture).text);
  if (types.empty() && (wanted.empty() || wanted == "srun"))
    return {Health::broken, subject, "srun --mpi=list has none of pmix, pspmix, pmi2",
            "set REFRAIN_LAUNCHER=mpirun in env/site.sh"};
  auto const list = types.empty() ? "none of ours" : join_words(types);
  return {Health::ok, subject, list + "; MpiDefault is " + value_of(config, "MpiDefault") + ", and srun is told which"};
}

/// Of the job that this runs in.
Findings check_job(Allocation const& allocation) {
  auto const record = ask_job(allocation);
  Findings findings;
  if (record.get("Requeue") == "0")
    findings.push_back({Health::warning, "job " + allocation.id(), "may not be requeued",
                        "submit it with --requeue; where that is refused, its index is submitted again"});
  if (allocation.cpus_per_task < 1)
    findings.push_back({Health::broken, "job " + allocation.id(), "has fewer CPUs than tasks on a node",
                        "SBATCH_EXCLUSIVE=exclusive in env/site.sh, or SBATCH_CPUS_PER_GPU with SBATCH_GRES"});
  if (findings.empty())
    findings.push_back({Health::ok, "job " + allocation.id(),
                        std::to_string(allocation.tasks) + " tasks on " + std::to_string(allocation.nodes) +
                            " nodes, " + std::to_string(allocation.cpus_per_task) + " CPUs a task, time limit " +
                            record.get("TimeLimit")});
  return findings;
}

}  // namespace

Findings check_slurm(Environment const& environment, std::optional<Allocation> const& allocation, int64_t members) {
  if (!in_path("scontrol") || !in_path("sbatch"))
    return {{Health::ok, "Slurm", "not here: refrain-study member starts runs by mpirun"}};
  auto const said = run_captured({"timeout", "20", "scontrol", "show", "config"}, Stderr::capture);
  auto const config = parse_slurm_config(said.text);
  if (said.code != 0 || config.empty())
    return {{Health::broken, "Slurm", "scontrol show config does not answer: " + telling_line(said.text),
             "try again on a login node; SLURM_CONF may name another cluster"}};
  Findings findings{
      {Health::ok, "Slurm", value_of(config, "SLURM_VERSION") + ", cluster " + value_of(config, "ClusterName")},
      check_requeue(config),
      check_preemption(config),
      check_memory(config, environment),
      check_array(config, members),
      check_times(config),
      check_mpi(config, value_of(environment, "REFRAIN_LAUNCHER"))};
  if (allocation)
    for (auto& finding : check_job(*allocation)) findings.push_back(std::move(finding));
  return findings;
}

}  // namespace refrain::study
