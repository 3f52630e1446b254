#pragma once

#include <refrain/study/options.hpp>
#include <refrain/study/queue.hpp>
#include <refrain/study/run_folder.hpp>
#include <refrain/study/settings.hpp>
#include <refrain/study/sweep.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::study {

/// A configuration's sweep, as options and environment name it.
struct SweepRequest {
  std::string name;   ///< of the configuration
  std::string table;  ///< as REFRAIN_SWEEP names it, a path in full
  Settings settings;
  std::vector<SweepMember> members;

  /// $REFRAIN_RUNS/NAME, where the members' run folders stand.
  std::filesystem::path folder() const { return settings.runs / name; }
  RunFolder run(std::size_t index) const { return RunFolder(folder() / members[index].folder()); }
};

/// @param needed variables that must be set besides REFRAIN_MODEL and REFRAIN_RUNS
/// @throws Error for an unsuitable environment, an unknown configuration and a table that is wrong
SweepRequest read_sweep_request(Options const& options, Words const& needed);

/// Members by what has become of them, indices in ascending order.
struct Standing {
  std::vector<int64_t> finished;  ///< or pruned since
  std::vector<int64_t> held;      ///< a job has them, or a process works in their folders
  std::vector<int64_t> failed;    ///< as RunFolder says
  std::vector<int64_t> open;      ///< all others: not begun, stopped, or lost
  std::string holder;             ///< who has the first of `held`
};

/// Looks at run folders, their locks, the record of submissions, and `queue`, the jobs of this user. @throws Error
Standing look_at_members(SweepRequest const& sweep, Queue const& queue);

/// "dpo_8b_balanced, sweep default: 0-2 finished, 3 under way (job 17_3), 4 failed, 5-11 to be trained"
std::string describe(SweepRequest const& sweep, Standing const& standing);

}  // namespace refrain::study
