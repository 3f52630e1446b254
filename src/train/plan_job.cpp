#include <refrain/train/plan_job.hpp>

#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/table.hpp>
#include <refrain/train/adapter_choice.hpp>
#include <refrain/train/batch.hpp>
#include <refrain/train/layout_choice.hpp>
#include <refrain/train/pair_set.hpp>

#include "formatted.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <iostream>

namespace refrain::train {
namespace {

using checkpoint::ModelConfig;
using Rows = std::vector<std::vector<std::string>>;

/// Pairs of the paper's balanced configuration: 2,889 a language, twelve languages.
constexpr int64_t balanced_pairs = 34668;
constexpr std::size_t layouts_shown = 8;

/// Of the run: fewer where thousands of ranks are to be planned for, which takes long.
int64_t steps_looked_at(int data_size) { return std::clamp<int64_t>(4096 / data_size, 4, 64); }

std::string gigabytes(double bytes) { return formatted("%.1f", bytes / 1e9); }
std::string seconds(double value) { return formatted("%.3g", value); }

/// Everything that is said, as numbers.
struct Plan {
  Planner const& planner;
  std::vector<Candidate> candidates;
  std::vector<std::string> remedies;
  StepTime time;
  double reference_seconds = 0, pairs_per_step = 0, tokens_per_step = 0, flops_per_step = 0;
  SentBytes sent;                  // of rank 0, mean of the steps looked at
  std::vector<SentBytes> by_step;  // where all steps were looked at

  Candidate const& chosen() const { return candidates.front(); }
  double training_seconds() const { return time.total() * static_cast<double>(planner.workload().steps); }
  double finish_seconds() const { return training_seconds() + reference_seconds; }
  double gpu_hours(double of_seconds) const { return of_seconds * planner.cluster().ranks() / 3600; }
};

Plan make_plan(Planner const& planner, LayoutWishes const& wishes) {
  Plan plan{.planner = planner, .candidates = planner.candidates(wishes)};
  if (!plan.chosen().fits) plan.remedies = planner.remedies(wishes);
  RunLayout const& layout = plan.chosen().layout;
  Workload const& workload = planner.workload();
  plan.time = planner.mean_time(layout, steps_looked_at(layout.data));
  TrafficModel const traffic(planner.config(), layout, planner.formats());
  TimeModel const clock(planner.config(), layout, planner.formats(), planner.cluster());
  auto const steps = workload.sample(steps_looked_at(layout.data));
  auto const count = static_cast<double>(steps.size());
  double forward = 0;
  for (int64_t const step : steps) {
    auto const shapes = workload.step_shapes(step, layout.data);
    SentBytes const sent = traffic.step(shapes.front());
    plan.sent += sent;
    if (static_cast<int64_t>(steps.size()) == workload.steps) plan.by_step.push_back(sent);
    forward += clock.forward(shapes) / count;
    for (auto const& rank : shapes)
      for (PairWork const& batch : rank) {
        plan.tokens_per_step += static_cast<double>(batch.tokens) / count;
        plan.flops_per_step += training_flops(planner.config(), planner.formats().adapter, batch) / count;
      }
  }
  auto const mean = [&](int64_t bytes) { return static_cast<int64_t>(static_cast<double>(bytes) / count); };
  plan.sent = {mean(plan.sent.parameters), mean(plan.sent.gradients), mean(plan.sent.activations)};
  int64_t const per_epoch = steps_per_epoch(workload.lengths.size(), workload.batches);
  plan.pairs_per_step = static_cast<double>(workload.lengths.size()) / static_cast<double>(per_epoch);
  if (workload.needs_reference)
    plan.reference_seconds = forward * static_cast<double>(std::min(per_epoch, workload.steps));
  return plan;
}

std::string fitting_table(Plan const& plan) {
  Rows rows{{"tensor x data", "zero", "recompute", "GB a rank", "s a step", "pairs/s"}};
  std::size_t shown = 0;
  for (Candidate const& c : plan.candidates)
    if (c.fits && shown++ < layouts_shown)
      rows.push_back({formatted("%d x %d", c.layout.tensor, c.layout.data),
                      std::to_string(static_cast<int>(c.layout.zero)), choice_name(c.layout.recompute),
                      gigabytes(static_cast<double>(c.memory.total())), seconds(c.time.total()),
                      seconds(plan.pairs_per_step / c.time.total())});
  return format_table(rows);
}

std::string memory_table(Plan const& plan) {
  RankMemory const& memory = plan.chosen().memory;
  Rows rows{{"memory of a rank", "GB"}};
  for (auto const& [part, bytes] : memory.parts())
    if (bytes > 0) rows.push_back({part, formatted("%.2f", static_cast<double>(bytes) / 1e9)});
  rows.push_back(
      {"all (a block and the head take turns)", formatted("%.2f", static_cast<double>(memory.total()) / 1e9)});
  return format_table(rows);
}

std::string traffic_table(Plan const& plan) {
  auto const row = [](char const* kind, int64_t bytes) { return std::vector<std::string>{kind, format_count(bytes)}; };
  return format_table({{"a rank sends in a step", "bytes"},
                       row("parameters, gathered", plan.sent.parameters),
                       row("gradients, reduced", plan.sent.gradients),
                       row("activations, exchanged", plan.sent.activations)});
}

std::string time_table(Plan const& plan) {
  auto const row = [](char const* part, double value) { return std::vector<std::string>{part, seconds(value)}; };
  return format_table({{"a step takes", "s"},
                       row("products and attention", plan.time.products),
                       row("exchange of activations", plan.time.activations),
                       row("parameters and gradients, what products do not hide", plan.time.exposed),
                       row("optimizer", plan.time.optimizer),
                       row("all", plan.time.total())});
}

/// What of the plan's options a run must be given too, as a command line has it: those that are not the defaults.
/// `sweep`: nor those that a study's sweep sets.
std::string given_words(Options const& options, bool sweep) {
  constexpr std::array apart{"plan",  "nodes", "gpus-per-node",   "machine", "plan-pairs", "plan-out",
                             "pairs", "init",  "tensor-parallel", "zero",    "recompute",  "run-dir"};
  Options usual;
  Json const defaults = Options::table(usual).record();
  std::string words;
  for (auto const& [name, value] : options.record.items()) {
    if (sweep && (name == "beta" || name == "learning-rate" || name == "seed")) continue;
    if (value == defaults.value(name, Json()) || std::find(apart.begin(), apart.end(), name) != apart.end()) continue;
    words += " --" + name;
    for (Json const& one : value.is_array() ? value : Json::array({value}))
      words += " " + (one.is_boolean()  ? (one.get<bool>() ? "on" : "off")
                      : one.is_string() ? one.get<std::string>()
                                        : one.dump());
  }
  return words;
}

/// The line that starts it on a cluster: a configuration's script where its pairs were assumed.
std::string submit_line(Plan const& plan, Options const& options) {
  Cluster const& cluster = plan.planner.cluster();
  RunLayout const& layout = plan.chosen().layout;
  constexpr double day = 24 * 3600;
  // A quarter on top, in whole ten minutes; a longer run is requeued and goes on.
  double const limit = std::min(day, std::ceil(1.25 * plan.finish_seconds() / 600) * 600);
  auto const minutes = static_cast<int64_t>(limit) / 60;
  bool const large = parameter_count(plan.planner.config()) > 30'000'000'000;
  std::string const words =
      formatted("--zero %d --recompute %s", static_cast<int>(layout.zero), choice_name(layout.recompute).c_str()) +
      given_words(options, options.pairs.empty());
  std::string const where = formatted("--nodes=%d --ntasks-per-node=%d --time=%02ld:%02ld:00", cluster.nodes,
                                      cluster.ranks_per_node, minutes / 60, minutes % 60);
  if (!options.pairs.empty())
    return formatted("srun %s refrain-train --pairs %s --init %s --run-dir RUN_DIR --tensor-parallel %d ",
                     where.c_str(), options.pairs.c_str(), options.init.c_str(), layout.tensor) +
           words;
  return formatted("REFRAIN_TENSOR_PARALLEL=%d REFRAIN_TRAIN_ARGS='%s' sbatch %s slurm/dpo_%s_balanced.sh",
                   layout.tensor, words.c_str(), where.c_str(), large ? "70b" : "8b");
}

/// Where transfers between data ranks are what a step waits for: from where on products would hide them.
std::string advice(Plan const& plan) {
  Cluster const& cluster = plan.planner.cluster();
  if (plan.time.exposed < 0.2 * plan.time.total() || cluster.machine.kind != DeviceKind::gpu) return {};
  double const rate = cluster.nodes == 1 ? cluster.machine.node_rate : cluster.machine.network_rate;
  double const transfers = static_cast<double>(plan.sent.parameters + plan.sent.gradients) / rate;
  double const tokens = plan.tokens_per_step / plan.chosen().layout.data;
  return formatted(
      "transfers between data ranks are %.0f %% of a step: products would hide them from about %s tokens a "
      "data rank and micro-batch on (here %s); more --global-batch-pairs with more --micro-batch-tokens, or "
      "fewer nodes, use the GPUs better\n",
      100 * plan.time.exposed / plan.time.total(),
      format_count(static_cast<int64_t>(tokens * transfers / plan.time.products)).c_str(),
      format_count(static_cast<int64_t>(tokens)).c_str());
}

std::string text_of(Plan const& plan) {
  Planner const& planner = plan.planner;
  Cluster const& cluster = planner.cluster();
  Machine const& machine = cluster.machine;
  Workload const& workload = planner.workload();
  ModelConfig const& config = planner.config();
  Formats const& formats = planner.formats();
  std::string text =
      formatted("%s parameters in %s, gradients in %s, on %d x %d %s (%s GB each, %.0f %% of them planned; %.0f "
                "TFLOP/s, which is "
                "%.0f %% of the data sheet's; %.1f GB/s to the node, %.1f GB/s to others)\n",
                format_count(parameter_count(config, formats.adapter)).c_str(), to_string(formats.weights).c_str(),
                to_string(formats.grads).c_str(), cluster.nodes, cluster.ranks_per_node, machine.name.c_str(),
                formatted("%.0f", machine.memory / 1e9).c_str(), 100 * planned_share(machine.kind),
                machine.flops / 1e12, 100 * machine.efficiency, machine.node_rate / 1e9, machine.network_rate / 1e9);
  text +=
      formatted("%s pairs (%s), %s steps of %ld pairs, micro-batches of up to %ld tokens, %s tokens a step\n\n",
                format_count(workload.lengths.size()).c_str(), workload.about.c_str(),
                format_count(workload.steps).c_str(), workload.batches.global_batch_pairs,
                workload.batches.micro_batch_tokens, format_count(static_cast<int64_t>(plan.tokens_per_step)).c_str());
  auto const fitting =
      std::count_if(plan.candidates.begin(), plan.candidates.end(), [](auto const& c) { return c.fits; });
  if (fitting == 0) {
    text += formatted("no layout fits: the smallest of %zu is %s, %s GB a rank\n", plan.candidates.size(),
                      plan.chosen().layout.text().c_str(),
                      gigabytes(static_cast<double>(plan.chosen().memory.total())).c_str());
    for (auto const& remedy : plan.remedies) text += "would fit: " + remedy + "\n";
    if (plan.remedies.empty()) text += "nothing that is known here would: take GPUs with more memory\n";
    text += "tensor ranks on several nodes were not considered; --tensor-parallel asks for them\n";
    return text + "\n" + memory_table(plan);
  }
  text += formatted("%ld of %zu layouts fit\n", static_cast<long>(fitting), plan.candidates.size()) +
          fitting_table(plan) + "\nchosen: " + plan.chosen().layout.text() + "\n\n" + memory_table(plan) + "\n" +
          traffic_table(plan) + "\n" + time_table(plan) + "\n";
  double const step = plan.time.total();
  text += formatted("pairs a second: %s; mfu %.1f %%\n", seconds(plan.pairs_per_step / step).c_str(),
                    100 * plan.flops_per_step / step / cluster.ranks() / (machine.flops / machine.efficiency));
  text +=
      formatted("time to finish: %s (%s for %s steps, %s for the reference, none of it with a --reference-cache that "
                "holds it); %.1f GPU hours\n",
                format_duration(plan.finish_seconds()).c_str(), format_duration(plan.training_seconds()).c_str(),
                format_count(workload.steps).c_str(), format_duration(plan.reference_seconds).c_str(),
                plan.gpu_hours(plan.finish_seconds()));
  return text + advice(plan);
}

std::string disk_line(Plan const& plan, int64_t keep) {
  RunDisk const disk = run_disk(plan.planner.config(), plan.planner.formats().adapter);
  return formatted("a checkpoint: %s GB; highest use of disk: %s GB\n",
                   gigabytes(static_cast<double>(disk.checkpoint_bytes())).c_str(),
                   gigabytes(static_cast<double>(disk.peak_bytes(keep))).c_str());
}

Json sent_json(SentBytes const& sent) {
  return {{"parameters", sent.parameters}, {"gradients", sent.gradients}, {"activations", sent.activations}};
}

Json json_of(Plan const& plan, Options const& options) {
  Json memory = Json::object(), by_step = Json::array(), remedies = plan.remedies;
  for (auto const& [part, bytes] : plan.chosen().memory.parts()) memory[part] = bytes;
  memory["all"] = plan.chosen().memory.total();
  for (SentBytes const& sent : plan.by_step) by_step.push_back(sent_json(sent));
  RunDisk const disk = run_disk(plan.planner.config(), plan.planner.formats().adapter);
  return {{"fits", plan.chosen().fits},
          {"layout", layout_json(plan.chosen().layout)},
          {"would_fit", remedies},
          {"memory", memory},
          {"sent_bytes", sent_json(plan.sent)},
          {"sent_bytes_by_step", by_step},
          {"step_seconds",
           {{"products", plan.time.products},
            {"activations", plan.time.activations},
            {"exposed", plan.time.exposed},
            {"optimizer", plan.time.optimizer},
            {"all", plan.time.total()}}},
          {"pairs_per_second", plan.pairs_per_step / plan.time.total()},
          {"steps", plan.planner.workload().steps},
          {"training_gpu_hours", plan.gpu_hours(plan.training_seconds())},
          {"reference_gpu_hours", plan.gpu_hours(plan.reference_seconds)},
          {"checkpoint_bytes", disk.checkpoint_bytes()},
          {"final_bytes", disk.final_bytes},
          {"disk_bytes", disk.peak_bytes(options.keep_checkpoints)},
          {"submit", submit_line(plan, options)}};
}

}  // namespace

void print_plan(Options const& options) {
  ModelConfig const config = ModelConfig::load(options.init);
  Cluster const cluster{
      .nodes = static_cast<int>(options.nodes.value_or(1)),
      .ranks_per_node = static_cast<int>(options.gpus_per_node.value_or(4)),
      .machine = find_machine(options.machine.empty() ? "H100" : options.machine, data_file("train/machines.json"))};
  DeviceKind const device = cluster.machine.kind;
  if ((options.device == DeviceChoice::cuda && device == DeviceKind::cpu) ||
      (options.device == DeviceChoice::cpu && device == DeviceKind::gpu))
    throw UsageError("--device contradicts --machine " + cluster.machine.name,
                     "leave --device out, or give --machine " +
                         std::string(device == DeviceKind::gpu ? "CPU" : "H100"));
  Workload workload =
      options.pairs.empty()
          ? workload_of(options, config, Workload::like_refuseu(options.plan_pairs.value_or(balanced_pairs)))
          : workload_of(options, config, PairSet::load(options.pairs, config.vocab_size).lengths);
  workload.about = options.pairs.empty() ? "assumed: prompts of 60 to 250 tokens, answers of 20 to 200, evenly spread"
                                         : options.pairs.filename().string();
  Formats const formats = formats_of(options, adapter_to_train(options, config), weights_type(options, device), device);
  LayoutWishes const wishes = wishes_of(options);
  Planner const planner(config, formats, cluster, workload, planned_share(device) * cluster.machine.memory);
  Plan const plan = make_plan(planner, wishes);
  require_one_micro_batch(formats, workload, plan.chosen().layout.data);
  std::cout << text_of(plan) << disk_line(plan, options.keep_checkpoints);
  if (plan.chosen().fits) std::cout << "\n" << submit_line(plan, options) << "\n";
  if (!options.plan_out.empty()) write_file_atomically(options.plan_out, dump_text(json_of(plan, options), 2) + "\n");
}

}  // namespace refrain::train
