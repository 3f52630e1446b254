#pragma once

#include <refrain/base/options.hpp>
#include <refrain/checkpoint/writer.hpp>
#include <refrain/comm/launch.hpp>
#include <refrain/model/choices.hpp>
#include <refrain/train/pair_cost.hpp>
#include <refrain/train/recompute.hpp>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace refrain::train {

enum class Loss { sigmoid, ipo, hinge, robust, sft };
enum class Schedule { linear, cosine, constant };
enum class GradPrecision { fp32, weights };
enum class Switch { automatic, on, off };

/// Options of refrain-train. Constant once validated, and written into everything that the run leaves behind.
struct Options {
  std::filesystem::path pairs, init, run_dir;

  // What is not given of these is the planner's choice, or what the run had so far.
  std::optional<int64_t> tensor_parallel, zero;
  int data_parallel = 0;
  Switch sequence_parallel = Switch::automatic;  ///< on where there are several tensor ranks
  std::optional<Recompute> recompute;
  GradPrecision grad_dtype = GradPrecision::fp32;
  Precision dtype = Precision::automatic;
  DeviceChoice device = DeviceChoice::automatic;

  Loss loss = Loss::sigmoid;
  double beta = 0.1, label_smoothing = 0, sft_weight = 0;

  std::optional<int64_t> lora_rank;
  std::optional<double> lora_alpha;
  std::vector<std::string> lora_targets;  ///< as given; empty: not given
  Switch lora_rslora = Switch::automatic;
  std::filesystem::path init_adapter;

  double learning_rate = 1e-6, warmup_ratio = 0, max_grad_norm = 1, weight_decay = 0;
  Schedule lr_schedule = Schedule::linear;
  double epochs = 3;
  std::optional<int64_t> max_steps;
  int64_t global_batch_pairs = 64, micro_batch_tokens = 8192;
  std::optional<int64_t> logits_chunk_rows;  ///< else what 64 MiB of logits hold, 512 on a GPU
  int64_t seed = 42;
  bool shuffle = true, share_prompt = true;

  std::filesystem::path reference_cache;  ///< empty: not used

  std::filesystem::path eval_pairs;
  std::optional<int64_t> eval_every;

  std::optional<int64_t> checkpoint_every;
  std::optional<double> checkpoint_minutes;  ///< 30 where neither of the two is given
  int64_t keep_checkpoints = 1;
  std::string resume = "auto";
  Switch background_checkpoints = Switch::automatic;  ///< automatic: on GPUs
  checkpoint::VerifyWrites verify_writes = checkpoint::VerifyWrites::first;
  std::optional<double> max_seconds;
  double timeout = 1800;
  std::filesystem::path profile;
  int64_t profile_steps = 3;

  bool plan = false;
  std::optional<int64_t> nodes, gpus_per_node, plan_pairs;
  std::string machine;  ///< a name in machines.json; empty: not given
  std::filesystem::path plan_out;

  Json record;  ///< every option with its value, as parsed

  static OptionTable table(Options& options);
  /// @throws UsageError for options that contradict each other
  void validate() const;
  static constexpr bool stops_on_signals = true;
  comm::MpiStart mpi() const { return comm::MpiStart::when_launched; }
  /// Whether an adapter is trained instead of the model.
  bool trains_adapter() const { return lora_rank.has_value() || !init_adapter.empty(); }
  /// Whether the loss compares with the reference model.
  bool needs_reference() const { return loss != Loss::sft; }
  Answers answers() const {
    return !needs_reference() ? Answers::chosen : share_prompt ? Answers::both : Answers::both_apart;
  }

private:
  void validate_plan() const;
};

}  // namespace refrain::train

namespace refrain {

template <>
struct EnumChoices<train::Loss> {
  using enum train::Loss;
  static constexpr std::array<Choice<train::Loss>, 5> choices{
      {{sigmoid, "sigmoid"}, {ipo, "ipo"}, {hinge, "hinge"}, {robust, "robust"}, {sft, "sft"}}};
};
template <>
struct EnumChoices<train::Schedule> {
  using enum train::Schedule;
  static constexpr std::array<Choice<train::Schedule>, 3> choices{
      {{linear, "linear"}, {cosine, "cosine"}, {constant, "constant"}}};
};
template <>
struct EnumChoices<train::Recompute> {
  using enum train::Recompute;
  static constexpr std::array<Choice<train::Recompute>, 3> choices{
      {{none, "none"}, {selective, "selective"}, {block, "block"}}};
};
template <>
struct EnumChoices<train::Switch> {
  using enum train::Switch;
  static constexpr std::array<Choice<train::Switch>, 3> choices{{{automatic, "auto"}, {on, "on"}, {off, "off"}}};
};
template <>
struct EnumChoices<train::GradPrecision> {
  using enum train::GradPrecision;
  static constexpr std::array<Choice<train::GradPrecision>, 2> choices{{{fp32, "fp32"}, {weights, "weights"}}};
};
template <>
struct EnumChoices<checkpoint::VerifyWrites> {
  using enum checkpoint::VerifyWrites;
  static constexpr std::array<Choice<checkpoint::VerifyWrites>, 3> choices{
      {{first, "first"}, {all, "all"}, {off, "off"}}};
};

}  // namespace refrain
