#include <refrain/train/layout_choice.hpp>

#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/base/host_memory.hpp>

#include "formatted.hpp"

#include <algorithm>
#include <cmath>

namespace refrain::train {
namespace {

namespace fs = std::filesystem;

/// The layout of the last start in the run's folder, else of the checkpoint that it goes on from, or null. A damaged
/// file is spoken of where it is opened to be used.
Json layout_so_far(Options const& options) {
  auto const read = [](fs::path const& file, auto const& provenance_of) {
    try {
      return provenance_of(read_sealed_json(file)).at("layout");
    } catch (std::exception const&) {
      return Json();
    }
  };
  if (options.resume == "never") return {};
  Json const last =
      read(options.run_dir / "run.json", [](Json const& run) { return run.at("starts").back().at("provenance"); });
  if (!last.is_null() || options.resume == "auto") return last;
  return read(fs::path(options.resume) / "manifest.json",
              [](Json const& manifest) { return manifest.at("provenance"); });
}

/// Keeps what the run has had of everything that is not given.
void keep(LayoutWishes& wishes, Options const& options, Json const& before, int ranks) {
  if (before.is_null()) return;
  int const tensor = before.value("tensor_parallel", 0), data = before.value("data_parallel", 0);
  if (tensor * data != ranks) return;
  if (wishes.tensor.value_or(tensor) != tensor || wishes.data.value_or(data) != data) return;
  wishes.tensor = tensor;
  if (!wishes.zero) wishes.zero = static_cast<model::Zero>(before.value("zero", 0));
  if (!wishes.recompute)
    for (auto const& choice : EnumChoices<Recompute>::choices)
      if (before.value("recompute", "") == choice.name) wishes.recompute = choice.value;
  if (options.sequence_parallel == Switch::automatic) wishes.shares_rows = before.value("sequence_parallel", true);
}

/// Whether a GPU's state is copied into host memory: --background-checkpoints, if the node's ranks have room for it.
bool copies_into_host(Options const& options, int64_t bytes_of_node, int64_t host_memory) {
  if (static_cast<double>(bytes_of_node) <= planned_share(DeviceKind::cpu) * static_cast<double>(host_memory))
    return true;
  std::string const too_much = formatted("copies of a node's optimizer state take %s, and its host has %s free",
                                         format_bytes(static_cast<double>(bytes_of_node)).c_str(),
                                         format_bytes(static_cast<double>(host_memory)).c_str());
  if (options.background_checkpoints == Switch::on)
    throw UsageError("--background-checkpoints on: " + too_much, "leave it out, or take more nodes with --zero 1");
  log_warning(too_much + ": training waits while checkpoints are written");
  return false;
}

}  // namespace

LayoutWishes wishes_of(Options const& options) {
  LayoutWishes wishes{.recompute = options.recompute, .shares_rows = options.sequence_parallel != Switch::off};
  if (options.tensor_parallel) wishes.tensor = static_cast<int>(*options.tensor_parallel);
  if (options.data_parallel > 0) wishes.data = options.data_parallel;
  if (options.zero) wishes.zero = static_cast<model::Zero>(*options.zero);
  return wishes;
}

DType weights_type(Options const& options, DeviceKind device) {
  if (device == DeviceKind::gpu && options.dtype == Precision::fp32)
    throw UsageError("--dtype fp32 on a GPU: attention there is computed in bf16",
                     "give --dtype bf16, which keeps fp32 master weights, or --device cpu");
  return device == DeviceKind::gpu || options.dtype == Precision::bf16 ? DType::bf16 : DType::fp32;
}

Formats formats_of(Options const& options, Adapter const& adapter, DType weights, DeviceKind device) {
  return {.weights = weights,
          .grads = options.grad_dtype == GradPrecision::weights ? weights : DType::fp32,
          .given_chunk_rows = options.logits_chunk_rows,
          .device = device,
          .adapter = adapter,
          .copies_state = options.background_checkpoints == Switch::on ||
                          (options.background_checkpoints == Switch::automatic && device == DeviceKind::gpu)};
}

Workload workload_of(Options const& options, checkpoint::ModelConfig const& config, PairLengths lengths) {
  Workload workload{.lengths = std::move(lengths),
                    .batches = {.global_batch_pairs = options.global_batch_pairs,
                                .micro_batch_tokens = options.micro_batch_tokens,
                                .shuffle = options.shuffle,
                                .answers = options.answers(),
                                .cost = work_cost(config)},
                    .seed = static_cast<uint64_t>(options.seed),
                    .needs_reference = options.needs_reference()};
  double const passes =
      options.epochs * static_cast<double>(steps_per_epoch(workload.lengths.size(), workload.batches));
  workload.steps = options.max_steps.value_or(static_cast<int64_t>(std::ceil(passes)));
  return workload;
}

LayoutChoice choose_layout(Options const& options, checkpoint::ModelConfig const& config, Formats const& formats,
                           PairLengths const& lengths, Hardware const& hardware) {
  comm::Communicator const& world = hardware.world;
  comm::Communicator const node = world.split_by_node();
  // The node with the most ranks, and the rank with the least memory.
  auto const on_a_node = static_cast<int>(world.max(static_cast<int64_t>(node.size())));
  int const ranks_per_node = world.size() % on_a_node == 0 ? on_a_node : 1;
  int64_t const free_here = hardware.gpu ? hardware.gpu->free_memory : available_memory() / node.size();
  auto const free = static_cast<double>(world.min(free_here));
  auto const machines = data_file("train/machines.json");
  std::string const gpu = world.broadcast(hardware.gpu ? hardware.gpu->name : "", 0);  // all ranks choose alike
  Cluster const cluster{
      .nodes = world.size() / ranks_per_node,
      .ranks_per_node = ranks_per_node,
      .machine = hardware.gpu ? find_gpu_machine(gpu, static_cast<double>(hardware.gpu->total_memory), machines)
                              : find_machine("CPU", machines)};

  LayoutWishes wishes = wishes_of(options);
  std::string const before = world.rank() == 0 ? dump_text(layout_so_far(options)) : "";
  keep(wishes, options, Json::parse(world.broadcast(before, 0)), world.size());

  Planner const planner(config, formats, cluster, workload_of(options, config, lengths),
                        planned_share(formats.device) * free);
  LayoutChoice choice{.chosen = planner.candidates(wishes).front(), .copies_state = formats.copies_state};
  if (hardware.gpu && formats.copies_state)
    choice.copies_state = copies_into_host(
        options, run_disk(config, formats.adapter).checkpoint_bytes() / choice.chosen.layout.ranks() * on_a_node,
        world.min(available_memory()));
  auto const needed = static_cast<double>(choice.chosen.memory.total());
  if (needed <= free) return choice;
  std::string const fits = joined(planner.remedies(wishes), "; or ");
  choice.too_much.emplace(
      formatted("a rank would take about %s of memory (%s), and %s are free for each", format_bytes(needed).c_str(),
                choice.chosen.layout.text().c_str(), format_bytes(free).c_str()),
      fits.empty() ? "take a smaller model or more nodes; --plan says what a layout takes" : "what would fit: " + fits);
  return choice;
}

void require_one_micro_batch(Formats const& formats, Workload const& workload, int data_size) {
  if (formats.grads == DType::fp32) return;
  std::size_t most = 0;
  int64_t const steps = std::min(workload.steps, steps_per_epoch(workload.lengths.size(), workload.batches));
  for (int64_t step = 0; step < steps; ++step)
    most = std::max(most, workload.step_shapes(step, data_size).front().size());
  if (most > 1)
    throw UsageError(formatted("--grad-dtype weights: a step has up to %zu micro-batches a rank, whose sum would lose "
                               "bits in %s",
                               most, to_string(formats.grads).c_str()),
                     "raise --micro-batch-tokens or the number of data-parallel ranks, or leave --grad-dtype out");
}

Json layout_json(RunLayout const& layout) {
  return {{"tensor_parallel", layout.tensor},
          {"data_parallel", layout.data},
          {"zero", static_cast<int>(layout.zero)},
          {"recompute", choice_name(layout.recompute)},
          {"sequence_parallel", layout.sequence == model::SequenceParallel::on}};
}

Json memory_json(int64_t before_model, RankMemory const& predicted) {
  Json parts = Json::object();
  for (auto const& [name, bytes] : predicted.parts()) parts[name] = bytes;
  parts["all"] = predicted.total();
  return {{"before_model_bytes", before_model}, {"predicted_bytes", parts}};
}

}  // namespace refrain::train
