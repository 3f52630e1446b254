#include <refrain/train/job.hpp>

#include <refrain/base/files.hpp>
#include <refrain/base/launch.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/step_folders.hpp>
#include <refrain/model/device_errors.hpp>
#include <refrain/model/slices.hpp>
#include <refrain/train/adapter_choice.hpp>
#include <refrain/train/announcement.hpp>
#include <refrain/train/estimate.hpp>
#include <refrain/base/host_memory.hpp>
#include <refrain/train/identity.hpp>
#include <refrain/train/layout_choice.hpp>
#include <refrain/train/plan_job.hpp>
#include <refrain/train/trainer.hpp>

#include "formatted.hpp"

#include <ATen/Parallel.h>

namespace refrain::train {
namespace {

namespace fs = std::filesystem;

/// Everything that lives as long as the run does, in the order in which it is made.
class Run {
public:
  Run(Options const& options, comm::Communicator const& world) : options_(options), world_(world) {}

  Exit go();

private:
  void choose_device();
  Formats formats() const { return formats_of(options_, adapter_, weights_, gpu_ ? DeviceKind::gpu : DeviceKind::cpu); }
  void open_folder();
  void refuse_a_folder_in_use(checkpoint::StepFolders const& folders) const;
  bool already_finished();
  void load_inputs();
  void choose();
  void make_model();
  /// An adapter is written as it was trained, unrounded.
  DType final_dtype() const { return adapter_ ? DType::fp32 : config_.dtype; }
  void load_start();
  void announce(std::optional<fs::path> const& from) const;
  std::optional<fs::path> resume_from() const;
  void record_start(int64_t first_step);
  Exit train();
  void note_failure(std::exception const& failure) noexcept;

  std::chrono::steady_clock::time_point const started_ = std::chrono::steady_clock::now();
  Options const& options_;
  comm::Communicator world_;
  std::optional<comm::ParallelLayout> layout_;
  std::optional<LayoutChoice> choice_;
  std::unique_ptr<RunFolder> folder_;  // on rank 0
  std::unique_ptr<comm::Watchdog> watchdog_;
  std::unique_ptr<model::Backend> backend_;
  checkpoint::ModelConfig config_{};
  std::optional<checkpoint::AdapterConfig> adapter_;
  std::optional<model::GpuInfo> gpu_;  ///< that this rank computes on, if any
  DType weights_ = DType::fp32;
  Json identity_, provenance_;
  std::optional<model::ParameterStore> store_;
  std::optional<Optimizer> optimizer_;
  PairSet pairs_, eval_;
  BatchOptions batches_;
  int64_t steps_ = 0, chunk_rows_ = 0, before_model_ = 0;
  bool began_ = false;  // whether the trainer keeps the run's files
  std::unique_ptr<Trainer> trainer_;
};

void Run::choose_device() {
  bool const on_gpu = model::takes_gpus(options_.device, world_);
  weights_ = weights_type(options_, on_gpu ? DeviceKind::gpu : DeviceKind::cpu);
  if (on_gpu) gpu_ = model::find_gpu(world_);
}

void Run::open_folder() {
  comm::agree(world_, [&] {
    if (world_.rank() == 0) folder_ = std::make_unique<RunFolder>(options_.run_dir);
  });
}

void Run::refuse_a_folder_in_use(checkpoint::StepFolders const& folders) const {
  auto const steps = folders.steps();
  if (folder_->identity().is_null() && steps.empty() && !fs::exists(folders.final_folder())) return;
  throw UsageError("the run folder holds a run" + (steps.empty() ? "" : " at step " + std::to_string(steps.back())),
                   "go on from it with --resume auto, or name another --run-dir", {.file = options_.run_dir});
}

bool Run::already_finished() {
  int64_t finished = 0;
  comm::agree(world_, [&] {
    if (world_.rank() != 0) return;
    checkpoint::StepFolders const folders(options_.run_dir);
    if (options_.resume == "never") refuse_a_folder_in_use(folders);
    Json const before = folder_->identity();
    if (before.is_null()) return;
    if (std::string const difference = describe_difference(before, identity_); !difference.empty())
      throw UsageError("the run was started with other options: " + difference,
                       "give the same options to go on, or another --run-dir for a new run",
                       {.file = options_.run_dir / "run.json"});
    if (!folders.finished()) return;
    finished = 1;
    // A run killed behind its last checkpoint may have left these undone.
    folders.committed_final();
    if (folder_->state() != "finished") folder_->write_status("finished", {.step = steps_, .steps = steps_});
  });
  if (world_.max(finished) == 0) return false;
  log_line("this run is finished; its model is in " + (options_.run_dir / "final").string());
  return true;
}

void Run::load_inputs() {
  comm::agree(world_, [&] {
    if (checkpoint::is_adapter(options_.init))
      throw UsageError("--init is an adapter", "name its model with --init, and the adapter with --init-adapter",
                       {.file = options_.init});
    config_ = checkpoint::ModelConfig::load(options_.init);
    adapter_ = adapter_to_train(options_, config_);
    if (options_.tensor_parallel) model::check_tensor_degree(config_, static_cast<int>(*options_.tensor_parallel));
    pairs_ = PairSet::load(options_.pairs, config_.vocab_size);
    if (!options_.eval_pairs.empty()) eval_ = PairSet::load(options_.eval_pairs, config_.vocab_size);
    if (world_.rank() == 0) identity_ = run_identity(options_, weights_, adapter_);
  });
  identity_ = Json::parse(world_.broadcast(dump_text(identity_), 0));
  Workload const workload = workload_of(options_, config_, pairs_.lengths);
  batches_ = workload.batches;
  steps_ = workload.steps;
}

void Run::choose() {
  Formats const formats = this->formats();
  choice_ = choose_layout(options_, config_, formats, pairs_.lengths, {world_, gpu_});
  RunLayout const& layout = choice_->chosen.layout;
  require_one_micro_batch(formats, workload_of(options_, config_, pairs_.lengths), layout.data);
  layout_.emplace(world_, layout.tensor, layout.data);
}

void Run::make_model() {
  comm::agree(world_, [&] {
    if (world_.rank() == 0 && choice_->too_much) throw *choice_->too_much;
  });
  backend_ = gpu_ ? model::cuda_backend(*layout_, options_.timeout) : model::cpu_backend(*layout_);
  before_model_ = world_.max(resident_memory());
  RunLayout const& layout = choice_->chosen.layout;
  Formats const formats = this->formats();
  store_.emplace(config_, *backend_,
                 model::StoreOptions{.weights = weights_,
                                     .grads = formats.grads,
                                     .zero = layout.zero,
                                     .sequence = layout.sequence,
                                     .grad_buffers = formats.grad_buffers(),
                                     .adapter = adapter_});
  optimizer_.emplace(*store_);
  chunk_rows_ = formats.chunk_rows(config_, layout.tensor);
  comm::agree(world_, [&] {
    if (world_.rank() != 0) return;
    Provenance provenance("refrain-train", options_.record);
    for (auto const& input : {options_.pairs, options_.init, options_.init_adapter, options_.eval_pairs})
      if (!input.empty()) provenance.add_input(input);
    Json placed = layout_json(layout);
    placed["threads"] = at::get_num_threads();
    placed["device"] = gpu_ ? "cuda" : "cpu";
    provenance.set("layout", placed);
    provenance_ = provenance.json();
  });
  provenance_ = Json::parse(world_.broadcast(dump_text(provenance_), 0));
}

/// What training starts from, into the optimizer.
void Run::load_start() {
  if (!adapter_) return optimizer_->load_master(*checkpoint::open_model(options_.init));
  if (options_.init_adapter.empty())
    return optimizer_->load_master(
        *checkpoint::initial_adapter(config_, *adapter_, static_cast<uint64_t>(options_.seed)));
  optimizer_->load_master(*checkpoint::open_adapter(options_.init_adapter).tensors);
}

std::optional<fs::path> Run::resume_from() const {
  if (options_.resume != "auto" && options_.resume != "never") return fs::path(options_.resume);
  checkpoint::StepFolders const folders(options_.run_dir);
  // -1 where there is none: rank 0 looks for all, since a folder's contents may reach other nodes late.
  int64_t newest = -1;
  comm::agree(world_, [&] {
    if (world_.rank() != 0) return;
    newest = folders.newest_sound().value_or(-1);
    if (int64_t const before = folder_->step(); newest < 0 && before > 0)
      log_warning("the run had done " + std::to_string(before) + " steps and has no checkpoint: it begins again");
  });
  newest = world_.max(newest);
  if (newest < 0) return std::nullopt;
  return folders.folder(newest);
}

void Run::announce(std::optional<fs::path> const& from) const {
  int64_t const disk = run_disk(config_, adapter_).peak_bytes(options_.keep_checkpoints);
  comm::agree(world_, [&] {
    if (world_.rank() == 0) require_free_space(options_.run_dir, disk);
  });
  log_line(options_.init.filename().string() + ": " +
           announcement(config_, choice_->chosen, formats(), workload_of(options_, config_, pairs_.lengths),
                        at::get_num_threads(), disk));
  if (from) log_line("going on from " + from->string());
}

void Run::record_start(int64_t first_step) {
  comm::agree(world_, [&] {
    if (world_.rank() != 0) return;
    checkpoint::StepFolders const folders(options_.run_dir);
    folders.prepare();
    folders.remove_after(first_step);
    folder_->record_start(identity_, options_.record, provenance_, first_step,
                          {{"memory", memory_json(before_model_, choice_->chosen.memory)}});
    folder_->write_status("running", {.step = first_step, .steps = steps_});
  });
}

Exit Run::train() {
  auto const from = resume_from();
  TrainingState state;
  if (from) comm::agree(world_, [&] { state = read_training_state(*from, identity_); });
  StepEngine engine(*store_, chunk_rows_, choice_->chosen.layout.recompute);
  trainer_ = std::make_unique<Trainer>(RunParts{.options = options_,
                                                .layout = *layout_,
                                                .store = *store_,
                                                .optimizer = *optimizer_,
                                                .engine = engine,
                                                .watchdog = *watchdog_,
                                                .folder = folder_.get(),
                                                .train = pairs_,
                                                .eval = options_.eval_pairs.empty() ? nullptr : &eval_,
                                                .batches = batches_,
                                                .steps = steps_,
                                                .checkpoints = {.layout = *layout_,
                                                                .small_files_from = options_.init,
                                                                .provenance = provenance_,
                                                                .identity = identity_,
                                                                .small_files = adapter_files(adapter_, options_.init)},
                                                .writes_in_background = choice_->copies_state,
                                                .final_dtype = final_dtype(),
                                                .from = state,
                                                .started = started_});

  bool initial_loaded = false;
  auto const load_initial = [&] {
    comm::agree(world_, [&] { model::with_device_errors([&] { load_start(); }); });
    optimizer_->publish();
    initial_loaded = true;
  };
  announce(from);
  record_start(state.step);
  watchdog_->progress("loading the model");
  if (adapter_) comm::agree(world_, [&] { model::load_model(*store_, *checkpoint::open_model(options_.init)); });
  if (!trainer_->prepare_reference(reference_key(identity_), load_initial)) return Exit::stopped_early;
  if (from) {
    comm::agree(world_, [&] { load_optimizer(*from, *optimizer_); });
    optimizer_->publish();
  } else if (!initial_loaded) {
    load_initial();
  }
  began_ = true;
  return trainer_->run();
}

void Run::note_failure(std::exception const& failure) noexcept {
  // A start that was refused leaves the run as it is.
  if (!folder_ || exit_code_of(failure) == Exit::usage) return;
  try {
    if (began_)
      folder_->write_status("failed", trainer_->progressed(), error_text(failure));
    else
      folder_->mark_failed(error_text(failure));
  } catch (std::exception const&) {
    // What failed first is the line that is printed.
  }
}

Exit Run::go() {
  choose_device();
  if (options_.tensor_parallel)
    comm::check_grid(world_.size(), static_cast<int>(*options_.tensor_parallel), options_.data_parallel);
  load_inputs();
  choose();
  open_folder();
  try {
    if (already_finished()) return Exit::success;
    watchdog_ = std::make_unique<comm::Watchdog>(world_, options_.run_dir, options_.timeout);
    make_model();
    return train();
  } catch (std::exception const& failure) {
    auto const in_one_line = model::device_error(failure);
    note_failure(in_one_line ? *in_one_line : failure);
    if (in_one_line) throw *in_one_line;
    throw;
  }
}

}  // namespace

Exit run(Options const& options, comm::Communicator const& world) {
  if (!options.plan) return Run(options, world).go();
  restore_stop_signals();  // a plan has nothing to save
  if (world.rank() == 0) print_plan(options);
  return Exit::success;
}

}  // namespace refrain::train
