#pragma once

#include <refrain/study/study_file.hpp>

#include <string>
#include <vector>

namespace refrain::study {

/// What the planner says of one configuration's training (docs/planning.md).
struct Estimate {
  std::string job;        ///< "8b/train/balanced"
  std::string missing{};  ///< why there is no estimate; the rest is 0 then
  int64_t pairs = 0;      ///< of the file, or the paper's where it is not sharded yet
  bool assumed = false;   ///< the paper's
  int members = 0;        ///< of the sweep
  int nodes = 0, tasks_per_node = 0;
  double gpu_hours = 0;   ///< of all members, the reference pass of each included
  double peak_bytes = 0;  ///< of one member while it trains
  double kept_bytes = 0;  ///< of one member afterwards
  bool fits = true;       ///< in the memory of the machine

  double node_hours() const { return tasks_per_node > 0 ? gpu_hours / tasks_per_node : 0; }
};

/// Asks `refrain-train --plan` for every configuration of the study, each different question once. Where it cannot say,
/// `missing` has its line: a study needs no estimate.
std::vector<Estimate> estimate_training(Study const& study);

}  // namespace refrain::study
