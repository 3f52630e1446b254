#include <refrain/base/counted.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/run_disk.hpp>
#include <refrain/study/disk.hpp>
#include <refrain/study/model_tensors.hpp>
#include <refrain/study/process.hpp>

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace refrain::study {

namespace {

namespace fs = std::filesystem;

constexpr char const* train_options_name = "refrain-train's options";

/// --lora-targets; commas divide as blanks do.
Words targets_of(Words const& options) {
  Words targets;
  for (auto const& value : option_values(options, "--lora-targets", train_options_name)) {
    std::istringstream parts(value);
    for (std::string name; std::getline(parts, name, ',');)
      if (!name.empty()) targets.push_back(name);
  }
  return targets;
}

/// Whether an adapter has a product for this matrix: for each linear map of a block, or those named (docs/training.md).
bool is_target(ModelTensor const& tensor, Words const& targets) {
  std::string const matrix = "_proj", suffix = ".weight";
  if (tensor.shape.size() != 2 || !tensor.name.ends_with(matrix + suffix)) return false;
  auto const module = tensor.name.substr(0, tensor.name.size() - suffix.size());
  return targets.empty() || std::any_of(targets.begin(), targets.end(), [&](std::string const& target) {
           return target == "all-linear" || module == target || module.ends_with("." + target);
         });
}

RunDisk disk_of_run(std::vector<ModelTensor> const& model, Words const& train_options) {
  if (auto const adapter = option_values(train_options, "--init-adapter", train_options_name); !adapter.empty())
    return RunDisk::of_adapter(count_parameters(model_tensors(adapter.back())));
  RunDisk disk;
  if (auto const rank = option_number(train_options, "--lora-rank", train_options_name)) {
    auto const targets = targets_of(train_options);
    for (auto const& tensor : model)  // A [rank, in] and B [out, rank]
      if (is_target(tensor, targets)) disk.trained += *rank * (tensor.shape[0] + tensor.shape[1]);
    if (disk.trained == 0)
      throw Error("the model has none of the matrices that --lora-targets names", "correct --lora-targets");
    return RunDisk::of_adapter(disk.trained);
  }
  disk.trained = count_parameters(model);
  for (auto const& tensor : model) disk.final_bytes += tensor.bytes;
  return disk;
}

double peak_of_run(std::vector<ModelTensor> const& model, Words const& train_options) {
  auto const keep = option_number(train_options, "--keep-checkpoints", train_options_name).value_or(1);
  return static_cast<double>(disk_of_run(model, train_options).peak_bytes(keep));
}

Error too_little(DiskLimit const& limit, int64_t members, std::string const& remedy) {
  return Error(counted(members, "member") + " at once may write " +
                   format_bytes(static_cast<double>(members) * limit.each) + ", more than REFRAIN_DISK_TB allows (" +
                   format_bytes(limit.allowed) + ")",
               remedy);
}

}  // namespace

double peak_disk_bytes(fs::path const& model, Words const& train_options) {
  return peak_of_run(model_tensors(model), train_options);
}

std::optional<DiskLimit> disk_limit(Settings const& settings, Configuration const& configuration,
                                    std::vector<SweepMember> const& members) {
  if (!settings.disk_tb) return {};
  auto const model = model_tensors(settings.model);
  DiskLimit limit{.allowed = *settings.disk_tb * 1e12};
  for (auto const& member : members) {
    auto const own = merge_options(configuration.train_options, member.words(), {}, "the sweep");
    auto const all = merge_options(own, settings.train_args, {}, "REFRAIN_TRAIN_ARGS");
    limit.each = std::max(limit.each, peak_of_run(model, all));
  }
  return limit;
}

int64_t DiskLimit::members() const {
  if (each > allowed) throw too_little(*this, 1, "raise REFRAIN_DISK_TB: one member needs " + format_bytes(each));
  return static_cast<int64_t>(allowed / each);
}

int array_throttle(std::string const& records) {
  std::string const key = "ArrayTaskThrottle=";
  auto const at = records.find(key);
  return at == std::string::npos ? 0 : std::atoi(records.c_str() + at + key.size());
}

void check_disk(DiskLimit const& limit, std::optional<Allocation> const& allocation, Environment const& environment,
                std::string const& script) {
  auto const fitting = limit.members();
  int at_once = 1;
  std::string range = "0";
  if (allocation && allocation->array_index) {
    at_once = std::max(std::atoi(value_of(environment, "SLURM_ARRAY_TASK_COUNT").c_str()), 1);
    range = value_of(environment, "SLURM_ARRAY_TASK_MIN") + "-" + value_of(environment, "SLURM_ARRAY_TASK_MAX");
    if (at_once > 1)
      if (int const throttle =
              array_throttle(run_captured({"scontrol", "show", "job", allocation->array_job}, Stderr::capture).text))
        at_once = std::min(at_once, throttle);
  }
  if (at_once > fitting)
    throw too_little(limit, at_once, "sbatch --array=" + range + "%" + std::to_string(fitting) + " " + script);
}

}  // namespace refrain::study
