#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/study/disk.hpp>
#include <refrain/study/process.hpp>

#include <algorithm>
#include <cstdlib>

namespace refrain::study {

double peak_disk_bytes(std::filesystem::path const& model) {
  constexpr double bytes_per_parameter = 2, peak_per_parameter = 2 * 12 + 2;
  double weights = 0;
  for (auto const& entry : std::filesystem::directory_iterator(model)) {
    auto const name = entry.path().filename().string();
    if (name.ends_with(".safetensors") || (name.starts_with("weights-") && name.ends_with(".h5")))
      weights += static_cast<double>(entry.file_size());
  }
  return weights / bytes_per_parameter * peak_per_parameter;
}

int array_throttle(std::string const& records) {
  std::string const key = "ArrayTaskThrottle=";
  auto const at = records.find(key);
  return at == std::string::npos ? 0 : std::atoi(records.c_str() + at + key.size());
}

void check_disk(Settings const& settings, std::optional<Allocation> const& allocation, Environment const& environment,
                std::string const& script) {
  if (!settings.disk_tb) return;
  int at_once = 1;
  std::string range = "0";
  if (allocation && allocation->array_index) {
    auto const number = [&](char const* name) {
      auto const found = environment.find(name);
      return found == environment.end() ? 1 : std::max(std::atoi(found->second.c_str()), 0);
    };
    at_once = std::max(number("SLURM_ARRAY_TASK_COUNT"), 1);
    range = std::to_string(number("SLURM_ARRAY_TASK_MIN")) + "-" + std::to_string(number("SLURM_ARRAY_TASK_MAX"));
    if (at_once > 1)
      if (int const throttle =
              array_throttle(run_captured({"scontrol", "show", "job", allocation->array_job}, Stderr::capture).text))
        at_once = std::min(at_once, throttle);
  }
  double const each = peak_disk_bytes(settings.model), allowed = *settings.disk_tb * 1e12;
  if (at_once * each <= allowed) return;
  int const fitting = static_cast<int>(allowed / each);
  std::string const problem = std::to_string(at_once) + " member(s) at once may write " + format_bytes(at_once * each) +
                              ", more than REFRAIN_DISK_TB allows (" + format_bytes(allowed) + ")";
  if (fitting < 1) throw Error(problem, "raise REFRAIN_DISK_TB: one member needs " + format_bytes(each));
  throw Error(problem, "sbatch --array=" + range + "%" + std::to_string(fitting) + " " + script);
}

}  // namespace refrain::study
