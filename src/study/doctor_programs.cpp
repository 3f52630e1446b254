#include <refrain/base/provenance.hpp>
#include <refrain/study/batch_job.hpp>
#include <refrain/study/doctor_checks.hpp>
#include <refrain/study/process.hpp>

#include <algorithm>
#include <sstream>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// What a program says of itself, within a minute: a library on a sleeping disk takes its time.
Captured ask_version(fs::path const& file) {
  return run_captured({"timeout", "60", file.string(), "--version"}, Stderr::capture);
}

/// "libtorch 2.13.0+cpu" of the lines behind the first, for the names given.
std::string libraries_in(std::string const& version, Words const& names) {
  std::istringstream lines(version);
  std::string list;
  for (std::string line; std::getline(lines, line);)
    for (auto const& name : names)
      if (line.starts_with("  " + name + " ")) list += (list.empty() ? "" : ", ") + line.substr(2);
  return list;
}

Finding check_program(std::string const& name, std::string& version) {
  auto const file = program(name);
  auto const subject = "refrain-" + name;
  if (!fs::exists(file))
    return {Health::broken, subject, "is not there [" + file.string() + "]",
            "build it: env/setup.sh, with libtorch for train, generate and judge"};
  auto const said = ask_version(file);
  if (said.code != 0)
    return {Health::broken, subject, "does not start: " + first_line(said.text),
            "load in env/site.sh the modules that it was built with, or build it again"};
  version = said.text;
  // "refrain-train 0.1.0 (git REVISION)"
  auto const mine = std::string("refrain-") + name + " " + refrain::version() + " (git " + git_revision() + ")";
  if (first_line(version) != mine)
    return {Health::warning, subject, "is " + first_line(version) + ", and refrain-study is of " + git_revision(),
            "build all programs together"};
  auto const libraries = libraries_in(version, {"libtorch", "HDF5", "MPI", "CUDA", "NCCL"});
  return {Health::ok, subject, libraries.empty() ? "starts" : libraries};
}

/// Of this host's GPUs: their names, memory and driver, a line each; empty where there are none.
Words list_gpus() {
  if (!in_path("nvidia-smi")) return {};
  auto const said = run_captured(
      {"timeout", "60", "nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"},
      Stderr::capture);
  Words gpus;
  std::istringstream lines(said.code == 0 ? said.text : "");
  for (std::string line; std::getline(lines, line);)
    if (!line.empty()) gpus.push_back(line);
  return gpus;
}

}  // namespace

Findings check_programs() {
  Findings findings;
  std::string version;
  for (auto const* name : {"convert", "shard", "train", "generate", "judge", "report", "archive"})
    findings.push_back(check_program(name, version));
  return findings;
}

bool built_for_gpus() {
  auto const train = program("train");
  return fs::exists(train) && !libraries_in(ask_version(train).text, {"NCCL"}).empty();
}

Findings check_devices(std::optional<Allocation> const& allocation) {
  std::string const subject = "GPUs";
  if (!fs::exists(program("train"))) return {};  // said already
  bool const for_gpus = built_for_gpus();
  auto const gpus = list_gpus();
  auto const count = static_cast<int>(gpus.size());
  if (count == 0 && !for_gpus) return {{Health::ok, subject, "none here, and refrain-train is built for CPUs"}};
  if (count == 0 && allocation)
    return {{Health::broken, subject, "refrain-train is built for GPUs, and this node shows none",
             "ask for them in env/site.sh: SBATCH_GRES=gpu:4, and SBATCH_PARTITION"}};
  if (count == 0) return {{Health::ok, subject, "none on this host; inside a job those of its node are told"}};
  auto const what = std::to_string(count) + " x " + gpus.front();
  if (!for_gpus)
    return {{Health::warning, subject, what + ", but refrain-train is built for CPUs",
             "build it for them: env/setup.sh --cuda"}};
  if (allocation) {
    int const tasks = *std::max_element(allocation->tasks_per_node.begin(), allocation->tasks_per_node.end());
    if (tasks > count)
      return {{Health::broken, subject, what + " for " + std::to_string(tasks) + " tasks on a node",
               "sbatch --ntasks-per-node=" + std::to_string(count) + ", or more GPUs by SBATCH_GRES"}};
  }
  return {{Health::ok, subject, what}};
}

}  // namespace refrain::study
