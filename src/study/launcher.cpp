#include <refrain/base/error.hpp>
#include <refrain/study/launcher.hpp>

#include <algorithm>
#include <sstream>

namespace refrain::study {

namespace {

Words choose_srun(Allocation const& allocation, std::filesystem::path const& probe, Variables const& variables) {
  auto const listing = run_captured({"srun", "--mpi=list"}, Stderr::capture);
  auto const types = mpi_types(listing.text);
  if (types.empty())
    throw Error("srun --mpi=list has none of pmix, pspmix, pmi2",
                "set REFRAIN_LAUNCHER=mpirun, or to a whole command that starts " + std::to_string(allocation.tasks) +
                    " ranks");
  std::string said;
  for (auto const& type : types) {
    auto line = srun_line(type, allocation);
    if (allocation.tasks == 1) return line;
    auto trial = line;
    trial.insert(trial.end(), {"--time=5", probe.string()});
    auto trial_variables = variables;
    trial_variables["REFRAIN_CHECK_WORLD"] = std::to_string(allocation.tasks);
    auto const answer = run_captured(trial, Stderr::capture, trial_variables);
    if (answer.code == 0) return line;
    said += (said.empty() ? "" : "; ") + type + ": " + telling_line(answer.text);
  }
  throw Error("no MPI type of srun starts a world of " + std::to_string(allocation.tasks) + " ranks (" + said + ")",
              "load the MPI module that the project was built with in env/site.sh, or set REFRAIN_LAUNCHER=mpirun");
}

}  // namespace

std::string telling_line(std::string const& text) {
  std::istringstream lines(text);
  std::string line, first;
  while (std::getline(lines, line)) {
    if (line.find("refrain-") != std::string::npos) return line;
    if (first.empty() && line.find_first_not_of("- \t") != std::string::npos) first = line;
  }
  return first;
}

Words Launcher::before(Words const& program) const {
  Words line = words;
  line.insert(line.end(), program.begin(), program.end());
  return line;
}

std::string Launcher::show(Words const& program) const {
  std::string text;
  for (auto const& [name, value] : variables) text += name + "=" + value + " ";
  return text + join_words(before(program));
}

Words mpi_types(std::string const& listing) {
  // The listing goes on with versions ("specific pmix plugin versions available: pmix_v4"), which are not types.
  std::istringstream words(listing.substr(0, listing.find("specific")));
  Words listed;
  for (std::string word; words >> word;) listed.push_back(word);
  Words usable;
  for (auto const* type : {"pmix", "pspmix", "pmi2"})
    if (std::find(listed.begin(), listed.end(), type) != listed.end()) usable.emplace_back(type);
  return usable;
}

Words srun_line(std::string const& mpi, Allocation const& allocation) {
  // --export=ALL: after `sbatch --export=NONE` srun would start the ranks with an empty environment.
  return {"srun",
          "--mpi=" + mpi,
          "--kill-on-bad-exit=1",
          "--export=ALL",
          "--nodes=" + std::to_string(allocation.nodes),
          "--ntasks=" + std::to_string(allocation.tasks),
          "--ntasks-per-node=" + std::to_string(allocation.tasks_per_node.front()),
          "--cpus-per-task=" + std::to_string(allocation.cpus_per_task)};
}

void require_launcher(Words const& words) {
  if (!words.empty() && words.front().find('/') == std::string::npos && !in_path(words.front()))
    throw Error("the launcher '" + words.front() + "' is not in PATH",
                "load the MPI module in env/site.sh, or set REFRAIN_LAUNCHER");
}

Launcher choose_launcher(std::string const& wanted, std::optional<Allocation> const& allocation, int tensor_parallel,
                         std::filesystem::path const& probe) {
  Launcher launcher;
  int const ranks = allocation ? allocation->tasks : tensor_parallel;
  if (allocation && current_environment().count("OMP_NUM_THREADS") == 0)
    launcher.variables["OMP_NUM_THREADS"] = std::to_string(allocation->cpus_per_task);
  // The job's CPUs a GPU would contradict srun's CPUs a task: newer Slurms refuse the two together.
  if (allocation && current_environment().count("SLURM_CPUS_PER_GPU") > 0)
    launcher.variables["SLURM_CPUS_PER_GPU"] = "";

  // Slurm 22.05 and Open MPI 4.1 over TCP, 16 ranks on four busy nodes: 7 of 48 starts crashed inside MPI_Init (a
  // message before its handler was there) with the other ways of Slurm's PMIx barrier, none of 38 with the ring.
  if (allocation && current_environment().count("SLURM_PMIX_FENCE") == 0)
    launcher.variables["SLURM_PMIX_FENCE"] = "ring";

  if (wanted == "srun" && !allocation)
    throw Error("the launcher is srun, but this is no Slurm job",
                "start it by sbatch, or give --launcher \"mpirun -n 2\"");
  if (wanted == "srun" || (wanted.empty() && allocation))
    launcher.words = choose_srun(*allocation, probe, launcher.variables);
  else if (wanted == "mpirun" || (wanted.empty() && ranks > 1))
    launcher.words = {"mpirun", "-n", std::to_string(ranks)};
  else
    launcher.words = split_words(wanted, "the launcher");
  require_launcher(launcher.words);
  return launcher;
}

}  // namespace refrain::study
