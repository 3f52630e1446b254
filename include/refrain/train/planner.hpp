#pragma once

#include <refrain/train/memory_model.hpp>
#include <refrain/train/time_model.hpp>
#include <refrain/train/workload.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace refrain::train {

/// What of a layout is given; the rest is the planner's choice.
struct LayoutWishes {
  std::optional<int> tensor, data;
  std::optional<model::Zero> zero;
  std::optional<Recompute> recompute;
  bool shares_rows = true;  ///< sequence parallelism where there are several tensor ranks
};

/// Share of the memory that is free which a layout may be planned to take: an allocator's fragments and what others use
/// of it stay free, and a CPU's is shared with the system.
constexpr double planned_share(DeviceKind device) noexcept { return device == DeviceKind::gpu ? 0.95 : 0.9; }

/// A layout with what it takes.
struct Candidate {
  RunLayout layout;
  RankMemory memory;
  StepTime time;
  bool fits = false;
};

/// Finds layouts of a model for machines, from sizes alone.
class Planner {
public:
  /// `memory`: bytes that a rank may take.
  Planner(checkpoint::ModelConfig const& config, Formats const& formats, Cluster const& cluster,
          Workload const& workload, double memory);

  /// Every layout of the cluster's ranks that agrees with the wishes, the planner's choice first: of those that fit,
  /// on GPUs the fastest, on CPUs the simplest (nothing computed again before fewer tensor ranks before the lowest
  /// stage); then those that do not fit, the smallest first. Never empty.
  /// @throws UsageError if there is none, saying what contradicts what
  std::vector<Candidate> candidates(LayoutWishes const& wishes) const;
  Candidate candidate(RunLayout const& layout) const;

  /// Where no layout fits: what would, a line each.
  std::vector<std::string> remedies(LayoutWishes const& wishes) const;

  checkpoint::ModelConfig const& config() const noexcept { return config_; }
  Formats const& formats() const noexcept { return formats_; }
  Cluster const& cluster() const noexcept { return cluster_; }
  Workload const& workload() const noexcept { return workload_; }
  double memory() const noexcept { return memory_; }
  /// Mean over a sample of the run's steps.
  StepTime mean_time(RunLayout const& layout, int64_t steps) const;

private:
  struct Shapes {
    PairWork longest;
    std::vector<std::vector<std::vector<PairWork>>> steps;  // a few
  };
  Shapes const& shapes(int data_size) const;
  std::vector<int> tensor_degrees(LayoutWishes const& wishes) const;
  std::optional<RunLayout> fitting(Cluster const& cluster, Workload const& workload, LayoutWishes const& wishes) const;

  checkpoint::ModelConfig config_;
  Formats formats_;
  Cluster cluster_;
  Workload workload_;
  double memory_;
  mutable std::map<int, Shapes> shapes_;  // by data ranks
};

}  // namespace refrain::train
