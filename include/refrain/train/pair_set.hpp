#pragma once

#include <refrain/comm/parallel_layout.hpp>
#include <refrain/h5/pairs_file.hpp>
#include <refrain/train/metrics.hpp>
#include <refrain/train/plan.hpp>
#include <refrain/train/reference.hpp>
#include <refrain/train/step_engine.hpp>

#include <functional>
#include <memory>
#include <vector>

namespace refrain::train {

/// A pairs file in memory with its reference log-probabilities, and what is done with both.
struct PairSet {
  h5::Pairs pairs;
  PairLengths lengths;
  ReferenceLogps reference;

  /// @throws Error if the file is empty, or holds a token that the model does not know
  static PairSet load(std::filesystem::path const& path, int64_t vocab_size);
};

/// All pairs of the set as one plan.
StepPlan plan_all(PairSet const& set, BatchOptions const& batches, int data_size);

/// Runs plans of pairs through the model, on this rank's share, and sums up what they give.
class PairPass {
public:
  /// Called for every pair of this rank whose answers have run.
  using Visit = std::function<void(int64_t pair, PairLogps const& logps, Sums const& sums)>;

  PairPass(Options const& options, StepEngine& engine, comm::ParallelLayout const& layout);

  /// Forward and backward over one step; gradients are in the store then. @collective over all ranks. @returns global
  /// sums
  Sums train(PairSet const& set, StepPlan const& plan, std::function<void()> const& alive);
  /// Forward alone, with the step's loss. @collective over all ranks. @returns global sums
  Sums evaluate(PairSet const& set, StepPlan const& plan, Visit const& visit, std::function<void()> const& alive);
  /// Whether all pairs of the plan have reference log-probabilities.
  static bool knows_reference(PairSet const& set, StepPlan const& plan);
  /// Reference log-probabilities of the plan's pairs, into `set` on every rank. @collective over all ranks
  void fill_reference(PairSet& set, StepPlan const& plan, std::function<void()> const& alive);

private:
  std::vector<double> account(PairSet const& set, MicroBatch const& pairs, AnswerSums const& answers,
                              Denominators const& denominators, Sums& sums, Visit const& visit) const;
  std::vector<MicroBatch> const& mine(StepPlan const& plan) const;
  model::PackedBatch packed(PairSet const& set, MicroBatch const& pairs) const;

  Options const& options_;
  StepEngine& engine_;
  comm::ParallelLayout const& layout_;
  std::unique_ptr<comm::Collectives> data_;
  Answers answers_;
};

}  // namespace refrain::train
