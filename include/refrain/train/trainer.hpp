#pragma once

#include <refrain/comm/watchdog.hpp>
#include <refrain/train/evaluation.hpp>
#include <refrain/train/optimizer.hpp>
#include <refrain/train/pair_set.hpp>
#include <refrain/train/profiler.hpp>
#include <refrain/train/run_folder.hpp>
#include <refrain/train/shared_reference.hpp>
#include <refrain/train/training_state.hpp>

#include <chrono>
#include <memory>
#include <optional>

namespace refrain::train {

/// What a run consists of, made by `run` and used by the trainer.
struct RunParts {
  Options const& options;
  comm::ParallelLayout const& layout;
  model::ParameterStore& store;
  Optimizer& optimizer;
  StepEngine& engine;
  comm::Watchdog& watchdog;
  RunFolder* folder;  ///< on rank 0; null on the others
  PairSet& train;
  PairSet* eval;  ///< null without --eval-pairs
  BatchOptions batches;
  int64_t steps;  ///< of the whole run
  CheckpointContext checkpoints;
  bool writes_in_background;  ///< checkpoints, while training goes on
  DType final_dtype;
  TrainingState from;                             ///< where this start goes on
  std::chrono::steady_clock::time_point started;  ///< for --max-seconds
};

/// The loop over optimizer steps, with evaluation, metrics, checkpoints and stopping. All functions are @collective.
class Trainer {
public:
  explicit Trainer(RunParts parts);

  /// Reference log-probabilities of all pairs that the run meets: those that reference.h5 has, those that other runs
  /// computed (--reference-cache), and the rest from the initial model. What there is is written every
  /// --checkpoint-minutes and when it is stopped on the way. (reference_pass.cpp)
  /// @param load_initial puts the initial weights into the optimizer
  /// @returns false if it was stopped
  bool prepare_reference(Json const& key, std::function<void()> const& load_initial);

  /// To the end. @pre the optimizer holds the state that parts.from describes
  /// @returns success, or stopped_early after a checkpoint
  Exit run();

  Progressed progressed() const { return {state_.step, parts_.steps, reference_batches_, rate_}; }

private:
  using Clock = std::chrono::steady_clock;

  /// Pairs whose reference log-probabilities are computed together, and what that is called meanwhile.
  struct ReferencePart {
    PairSet& set;
    StepPlan plan;
    std::vector<int64_t> pairs;  ///< all of the plan's
    std::string doing;
  };

  static int64_t unknown_in(std::vector<ReferencePart> const& parts);
  /// Those of each step of one pass, then the held-out pairs.
  std::vector<ReferencePart> reference_parts() const;
  /// Reads reference.h5 where it fits.
  void recall_reference(Json const& key);
  void keep_reference(Json const& key);
  /// Takes from the cache what it has, and its lock where that is not all. @returns why it stopped waiting, or 0
  int64_t use_shared_reference(Json const& key, std::vector<ReferencePart> const& parts);
  int64_t wait_for_shared_reference(std::vector<ReferencePart> const& parts);
  void recall_shared_reference(std::vector<ReferencePart> const& parts);
  void one_step();
  [[noreturn]] void fail_together(Error const& error) const;
  void check_finite(char const* what, double value) const;
  void check_first_loss(Sums const& sums) const;
  Json step_row(Sums const& sums, double learning_rate, double grad_norm, double seconds);
  Json evaluate_now(std::string const& key);
  int64_t stop_reason(bool got_further) const;
  bool must_stop();
  static char const* name_of_reason(int64_t reason);
  bool minutes_are_over() const;
  bool checkpoint_due() const;
  void begin_checkpoint();
  /// Of a checkpoint that is under way, if one is.
  void finish_checkpoint();
  void finish();
  void on_rank_0(std::function<void(RunFolder&)> const& work) const;
  std::function<void()> alive(std::string doing) const;
  void say_language_table(Json const& after) const;

  RunParts parts_;
  PairPass pass_;
  Profiler profiler_;
  std::unique_ptr<SharedReference> shared_;  // while the reference pass uses a cache
  TrainingState state_;
  StateWriter writer_;
  Clock::time_point last_checkpoint_ = Clock::now();  // when it was begun
  double checkpoint_seconds_, rate_ = 0, last_step_seconds_ = 0, product_rate_;
  int64_t first_step_ = 0, saved_step_ = 0, reference_batches_ = 0;  // a checkpoint under way counts as saved
};

}  // namespace refrain::train
