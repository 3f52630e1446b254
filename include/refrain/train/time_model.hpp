#pragma once

#include <refrain/train/machines.hpp>
#include <refrain/train/memory_model.hpp>
#include <refrain/train/traffic_model.hpp>

#include <vector>

namespace refrain::train {

/// Seconds of a step on the slowest rank.
struct StepTime {
  double products = 0;     ///< matrix products and attention, what is computed again too
  double activations = 0;  ///< transfers between tensor ranks, which nothing hides
  double exposed = 0;      ///< transfers between data ranks beyond what compute hides
  double optimizer = 0;    ///< one pass over its memory
  double total() const noexcept { return products + activations + exposed + optimizer; }
};

/// The machines of a run.
struct Cluster {
  int nodes = 1, ranks_per_node = 1;
  Machine machine;
  int ranks() const noexcept { return nodes * ranks_per_node; }
};

/// Floating-point operations of the whole model's forward pass: 2 a weight and token (PaLM, arXiv 2204.02311, appendix
/// B), 4 head_dim a head, query and key; the embedding costs none, the output matrix meets scored positions alone.
double forward_flops(checkpoint::ModelConfig const& config, PairWork const& batch);

/// Floating-point operations of a micro-batch's forward and backward: three times the forward's, twice where the model
/// is frozen beside an adapter, whose own are 6 a weight and token (attention has no weights).
double training_flops(checkpoint::ModelConfig const& config, Adapter const& adapter, PairWork const& batch);

/// How long steps take, from sizes and rates alone.
class TimeModel {
public:
  /// Tensor ranks are neighbours on a node, data ranks stride over nodes.
  TimeModel(checkpoint::ModelConfig const& config, RunLayout const& layout, Formats const& formats,
            Cluster const& cluster);

  /// Micro-batches of each data rank, as many on each: ranks wait for each other at every one.
  StepTime step(std::vector<std::vector<PairWork>> const& ranks) const;
  /// The forward pass alone, for reference log-probabilities.
  double forward(std::vector<std::vector<PairWork>> const& ranks) const;

private:
  double product_seconds(PairWork const& batch) const;
  double data_rate() const;

  checkpoint::ModelConfig config_;
  RunLayout layout_;
  Formats formats_;
  Cluster cluster_;
  TrafficModel traffic_;
};

}  // namespace refrain::train
