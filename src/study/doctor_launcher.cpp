#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/study/batch_job.hpp>
#include <refrain/study/doctor_checks.hpp>
#include <refrain/study/launcher.hpp>
#include <refrain/study/process.hpp>

#include <cstdlib>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

constexpr char const* allow_root =
    "as root, in a container, set OMPI_ALLOW_RUN_AS_ROOT=1 and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1";

/// Lets the launcher start a program's ranks, which only try something and say how it went, for two minutes.
Captured try_ranks(Launcher const& launcher, int ranks, std::string const& name, Variables variables) {
  Words line{"timeout", "120"};
  auto const started = launcher.before({program(name).string()});
  line.insert(line.end(), started.begin(), started.end());
  variables.insert(launcher.variables.begin(), launcher.variables.end());
  variables["REFRAIN_CHECK_WORLD"] = std::to_string(ranks);
  return run_captured(line, Stderr::capture, variables);
}

Finding try_world(Launcher const& launcher, int ranks, std::string const& where) {
  auto const said = try_ranks(launcher, ranks, "shard", {});
  auto const line = join_words(launcher.words);
  if (said.code == 0)
    return {Health::ok, "launcher", line + " starts a world of " + std::to_string(ranks) + " ranks" + where};
  bool const refuses_root = said.text.find("attempt to run as root") != std::string::npos;  // as Open MPI says it
  return {Health::broken, "launcher",
          line + " starts no world of " + std::to_string(ranks) + " ranks" + where + ": " + telling_line(said.text),
          refuses_root ? allow_root
                       : "load the MPI module that the project was built with in env/site.sh, or set REFRAIN_LAUNCHER"};
}

Finding try_nccl(Launcher const& launcher, int ranks) {
  auto const said = try_ranks(launcher, ranks, "train", {{"REFRAIN_CHECK_DEVICES", "1"}});
  if (said.code == 0) return {Health::ok, "NCCL", "connects the GPUs of " + std::to_string(ranks) + " ranks"};
  return {Health::broken, "NCCL",
          "does not connect the GPUs of " + std::to_string(ranks) + " ranks: " + telling_line(said.text),
          "docs/gpu.md; NCCL_DEBUG=INFO makes it say more"};
}

std::string on_nodes(int nodes) { return " on " + std::to_string(nodes) + (nodes == 1 ? " node" : " nodes"); }

/// Every node of the job writes a file of its own into `runs`; this one looks whether all came.
Finding check_nodes(Allocation const& allocation, fs::path const& runs) {
  auto const nodes = std::to_string(allocation.nodes);
  std::string folder = (runs / ".doctor-XXXXXX").string();
  if (!::mkdtemp(folder.data()))
    return {Health::broken, "nodes", "no node can be asked: REFRAIN_RUNS cannot be written", "see above"};
  auto const said =
      run_captured({"timeout", "120", "srun", "--mpi=none", "--export=ALL", "--nodes=" + nodes, "--ntasks=" + nodes,
                    "--ntasks-per-node=1", "/bin/sh", "-c", "hostname > \"$1/$SLURM_PROCID\"", "sh", folder},
                   Stderr::capture);
  int found = 0;
  std::error_code ignored;
  for (int node = 0; node < allocation.nodes; ++node)
    found += fs::exists(folder + "/" + std::to_string(node), ignored) ? 1 : 0;
  fs::remove_all(folder, ignored);
  if (found == allocation.nodes) return {Health::ok, "nodes", "all " + nodes + " write to REFRAIN_RUNS"};
  return {Health::broken, "nodes",
          std::to_string(found) + " of " + nodes + " write to REFRAIN_RUNS" +
              (said.code == 0 ? "" : ": " + telling_line(said.text)),
          "put it on a file system that all nodes see"};
}

Finding try_outside(std::string const& wanted) {
  bool const slurm = in_path("srun");
  if (wanted == "srun" || (wanted.empty() && !in_path("mpirun")))
    return slurm ? Finding{Health::ok, "launcher", "srun, which this tries inside a job"}
                 : Finding{Health::broken, "launcher", "neither srun nor mpirun is in PATH",
                           "load the MPI module in env/site.sh"};
  int const ranks = 2;
  Launcher const launcher{.words = wanted.empty() || wanted == "mpirun" ? Words{"mpirun", "-n", "2"}
                                                                        : split_words(wanted, "the launcher")};
  if (wanted.empty() || wanted == "mpirun") {
    auto tried = try_world(launcher, ranks, "");
    // Login nodes may refuse MPI, and jobs do not depend on them.
    if (slurm && tried.health == Health::broken) {
      tried.health = Health::warning;
      if (tried.remedy != allow_root) tried.remedy = "no job needs it here; run this inside a job too";
    }
    return tried;
  }
  require_launcher(launcher.words);
  return {Health::ok, "launcher", join_words(launcher.words) + ", whose ranks this counts inside a job"};
}

}  // namespace

Findings check_launcher(std::string const& wanted, std::optional<Allocation> const& allocation, fs::path const& runs) {
  try {
    if (!allocation) return {try_outside(wanted)};
    auto const launcher = choose_launcher(wanted, allocation, 1, program("shard"));
    std::error_code unseen;
    Findings findings{try_world(launcher, allocation->tasks, on_nodes(allocation->nodes))};
    if (findings.front().health == Health::ok && built_for_gpus())
      findings.push_back(try_nccl(launcher, allocation->tasks));
    if (allocation->nodes > 1 && in_path("srun") && fs::is_directory(runs, unseen))
      findings.push_back(check_nodes(*allocation, runs));
    return findings;
  } catch (Error const& error) {
    return {{Health::broken, "launcher", error.problem(), error.remedy()}};
  }
}

}  // namespace refrain::study
