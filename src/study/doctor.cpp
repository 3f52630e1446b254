#include <refrain/study/doctor_checks.hpp>
#include <refrain/study/sweep.hpp>

#include <algorithm>
#include <iostream>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

char const* word_of(Health health) {
  switch (health) {
    case Health::ok: return "ok";
    case Health::warning: return "warning";
    case Health::broken: return "broken";
  }
  return "?";
}

/// Members of the sweep; 1 where its table cannot be read, which is a finding of its own.
int64_t count_members(std::string const& sweep) try {
  return static_cast<int64_t>(read_sweep(find_sweep(sweep.empty() ? "default" : sweep)).size());
} catch (Error const&) {
  return 1;
}

std::optional<double> disk_of(Environment const& environment) {
  double const value = std::atof(value_of(environment, "REFRAIN_DISK_TB").c_str());
  return value > 0 ? std::optional(value) : std::nullopt;
}

}  // namespace

std::string Finding::line() const {
  std::string word = word_of(health);
  word.resize(9, ' ');
  return word + subject + ": " + found + (remedy.empty() ? "" : " (" + remedy + ")");
}

Exit run_doctor(Options const& options) {
  auto environment = current_environment();
  if (!options.launcher.empty()) environment["REFRAIN_LAUNCHER"] = options.launcher;
  if (!options.sweep.empty()) environment["REFRAIN_SWEEP"] = options.sweep;
  auto const allocation = read_allocation(environment);
  auto const runs = value_of(environment, "REFRAIN_RUNS");
  auto const members = count_members(value_of(environment, "REFRAIN_SWEEP"));

  int counts[3] = {};
  auto const tell = [&](Findings const& findings) {  // at once: some of them take a while
    for (auto const& finding : findings) {
      ++counts[static_cast<int>(finding.health)];
      std::cout << finding.line() << "\n" << std::flush;
    }
  };
  tell(check_variables(environment, allocation));
  if (!runs.empty()) {
    tell(check_runs_folder(runs));
    tell(check_space(runs, environment, disk_of(environment), members));
  }
  tell(check_programs());
  tell(check_devices(allocation));
  tell(check_launcher(value_of(environment, "REFRAIN_LAUNCHER"), allocation, runs));
  tell(check_slurm(environment, allocation, members));
  std::cout << counts[2] << " broken, " << counts[1] << " warnings, " << counts[0] << " ok\n" << std::flush;
  return counts[2] > 0 ? Exit::failure : Exit::success;
}

}  // namespace refrain::study
