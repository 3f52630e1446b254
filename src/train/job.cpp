#include <refrain/train/job.hpp>

#include <refrain/base/files.hpp>
#include <refrain/base/launch.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/table.hpp>
#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/step_folders.hpp>
#include <refrain/model/device_errors.hpp>
#include <refrain/model/head.hpp>
#include <refrain/model/slices.hpp>
#include <refrain/train/estimate.hpp>
#include <refrain/train/identity.hpp>
#include <refrain/train/trainer.hpp>

#include "formatted.hpp"

#include <ATen/Parallel.h>

#include <cmath>
#include <sstream>

namespace refrain::train {
namespace {

namespace fs = std::filesystem;

/// Everything that lives as long as the run does, in the order in which it is made.
class Run {
public:
  Run(Options const& options, comm::Communicator const& world)
      : options_(options), world_(world), layout_(world, options.tensor_parallel, options.data_parallel) {}

  Exit go();

private:
  void choose_device();
  void open_folder();
  void refuse_a_folder_in_use(checkpoint::StepFolders const& folders) const;
  bool already_finished();
  void load_inputs();
  void require_one_micro_batch() const;
  void make_model();
  /// An adapter is written as it was trained, unrounded.
  DType final_dtype() const { return adapter_ ? DType::fp32 : config_.dtype; }
  std::map<std::string, std::string> adapter_files() const;
  void load_start();
  void announce(std::optional<fs::path> const& from) const;
  std::optional<fs::path> resume_from() const;
  void record_start(int64_t first_step);
  Exit train();
  void note_failure(std::exception const& failure) noexcept;

  std::chrono::steady_clock::time_point const started_ = std::chrono::steady_clock::now();
  Options const& options_;
  comm::Communicator world_;
  comm::ParallelLayout layout_;
  std::unique_ptr<RunFolder> folder_;  // on rank 0
  std::unique_ptr<comm::Watchdog> watchdog_;
  std::unique_ptr<model::Backend> backend_;
  checkpoint::ModelConfig config_{};
  std::optional<checkpoint::AdapterConfig> adapter_;
  bool on_gpu_ = false;
  DType weights_ = DType::fp32;
  Json identity_, provenance_;
  std::optional<model::ParameterStore> store_;
  std::optional<Optimizer> optimizer_;
  PairSet pairs_, eval_;
  BatchOptions batches_;
  int64_t steps_ = 0, chunk_rows_ = 0;
  bool began_ = false;  // whether the trainer keeps the run's files
  std::unique_ptr<Trainer> trainer_;
};

void Run::choose_device() {
  // `auto` takes GPUs where every rank sees one.
  on_gpu_ = options_.device == DeviceChoice::cuda ||
            (options_.device == DeviceChoice::automatic && world_.min(model::gpu_at_hand() ? 1 : 0) == 1);
  if (on_gpu_) {
    if (options_.dtype == Precision::fp32)
      throw UsageError("--dtype fp32 on a GPU: attention there is computed in bf16",
                       "give --dtype bf16, which keeps fp32 master weights, or --device cpu");
    backend_ = model::cuda_backend(layout_, options_.timeout);
  }
  weights_ = on_gpu_ || options_.dtype == Precision::bf16 ? DType::bf16 : DType::fp32;
}

/// --lora-targets in a block's order, or none where it is not given; commas divide as blanks do.
std::vector<std::string> targets_of(Options const& options) {
  std::vector<std::string> names;
  for (std::string const& given : options.lora_targets) {
    std::istringstream words(given);
    for (std::string name; std::getline(words, name, ',');)
      if (!name.empty()) names.push_back(name);
  }
  if (options.lora_targets.empty()) return {};
  try {
    return checkpoint::parse_targets(names, {.object = "--lora-targets"});
  } catch (Error const& error) {
    throw UsageError(error.problem(), error.remedy(), error.place());
  }
}

/// The adapter that the options describe, if any. @throws UsageError where they contradict the one to go on from, Error
/// where that does not fit the model
std::optional<checkpoint::AdapterConfig> adapter_to_train(Options const& options,
                                                          checkpoint::ModelConfig const& model) {
  if (!options.trains_adapter()) return std::nullopt;
  std::vector<std::string> const targets = targets_of(options);
  if (options.init_adapter.empty()) {
    auto const rank = static_cast<double>(*options.lora_rank);
    return checkpoint::AdapterConfig{.rank = *options.lora_rank,
                                     .alpha = options.lora_alpha.value_or(2 * rank),
                                     .targets = targets.empty() ? checkpoint::adapter_targets() : targets,
                                     .rslora = options.lora_rslora == Switch::on};
  }
  checkpoint::Adapter const opened = checkpoint::open_adapter(options.init_adapter);
  checkpoint::require_fit(opened, model);
  checkpoint::AdapterConfig const& adapter = opened.config;
  auto const refuse_unless = [&](bool same, char const* option, std::string const& there) {
    if (!same)
      throw UsageError(std::string(option) + " contradicts the adapter of --init-adapter, where it is " + there,
                       "leave it out", {.file = options.init_adapter});
  };
  std::string names;
  for (auto const& name : adapter.targets) names += (names.empty() ? "" : " ") + name;
  refuse_unless(!options.lora_rank || *options.lora_rank == adapter.rank, "--lora-rank", std::to_string(adapter.rank));
  refuse_unless(!options.lora_alpha || *options.lora_alpha == adapter.alpha, "--lora-alpha",
                formatted("%g", adapter.alpha));
  refuse_unless(targets.empty() || targets == adapter.targets, "--lora-targets", names);
  refuse_unless(options.lora_rslora == Switch::automatic || (options.lora_rslora == Switch::on) == adapter.rslora,
                "--lora-rslora", adapter.rslora ? "on" : "off");
  return adapter;
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
    model::check_tensor_degree(config_, layout_.tensor().size());
    pairs_ = PairSet::load(options_.pairs, config_.vocab_size);
    if (!options_.eval_pairs.empty()) eval_ = PairSet::load(options_.eval_pairs, config_.vocab_size);
    if (world_.rank() == 0) identity_ = run_identity(options_, weights_, adapter_);
  });
  identity_ = Json::parse(world_.broadcast(dump_text(identity_), 0));
  batches_ = {.global_batch_pairs = options_.global_batch_pairs,
              .micro_batch_tokens = options_.micro_batch_tokens,
              .shuffle = options_.shuffle,
              .answers = options_.answers(),
              .cost = work_cost(config_)};
  double const passes = options_.epochs * static_cast<double>(steps_per_epoch(pairs_.pairs.size(), batches_));
  steps_ = options_.max_steps.value_or(static_cast<int64_t>(std::ceil(passes)));
}

void Run::require_one_micro_batch() const {
  if (options_.grad_dtype == GradPrecision::fp32 || weights_ == DType::fp32) return;
  std::size_t most = 0;
  for (int64_t step = 0; step < std::min(steps_, steps_per_epoch(pairs_.pairs.size(), batches_)); ++step)
    most = std::max(
        most, plan_step(pairs_.lengths, static_cast<uint64_t>(options_.seed), step, batches_, layout_.data().size())
                  .ranks[0]
                  .size());
  if (most > 1)
    throw UsageError(formatted("--grad-dtype weights: a step has up to %zu micro-batches a rank, whose sum would lose "
                               "bits in %s",
                               most, to_string(weights_).c_str()),
                     "raise --micro-batch-tokens or the number of data-parallel ranks, or leave --grad-dtype out");
}

void Run::make_model() {
  if (!on_gpu_) backend_ = model::cpu_backend(layout_);
  bool const shares_rows = options_.sequence_parallel != Switch::off && layout_.tensor().size() > 1;
  store_.emplace(config_, *backend_,
                 model::StoreOptions{
                     .weights = weights_,
                     .grads = options_.grad_dtype == GradPrecision::weights ? weights_ : DType::fp32,
                     .zero = static_cast<model::Zero>(options_.zero),
                     .sequence = shares_rows ? model::SequenceParallel::on : model::SequenceParallel::off,
                     .grad_buffers = on_gpu_ ? 2 : 1,  // MPI's transfers are over when their call returns
                     .adapter = adapter_,
                 });
  optimizer_.emplace(*store_);
  chunk_rows_ = options_.logits_chunk_rows.value_or(model::default_chunk_rows(*store_));
  comm::agree(world_, [&] {
    if (world_.rank() != 0) return;
    Provenance provenance("refrain-train", options_.record);
    for (auto const& input : {options_.pairs, options_.init, options_.init_adapter, options_.eval_pairs})
      if (!input.empty()) provenance.add_input(input);
    provenance.set("layout", Json{{"tensor_parallel", layout_.tensor().size()},
                                  {"data_parallel", layout_.data().size()},
                                  {"threads", at::get_num_threads()},
                                  {"device", on_gpu_ ? "cuda" : "cpu"}});
    provenance_ = provenance.json();
  });
  provenance_ = Json::parse(world_.broadcast(dump_text(provenance_), 0));
}

std::map<std::string, std::string> Run::adapter_files() const {
  if (!adapter_) return {};
  std::string const base = fs::absolute(options_.init).lexically_normal().string();
  return {{checkpoint::adapter_config_name, dump_text(adapter_->to_json(base), 2) + "\n"}};
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

std::string describe(Balance const& balance, int data_size) {
  std::string text = "micro-batches of up to " + format_count(balance.most_tokens) +
                     formatted(" tokens, %ld a step", balance.micro_batches);
  if (data_size > 1)
    text += formatted(" (the dearest of %d ranks' costs %.1f %% more than the mean, at worst %.1f %%)", data_size,
                      100 * (balance.waiting - 1), 100 * (balance.worst - 1));
  return text;
}

void Run::announce(std::optional<fs::path> const& from) const {
  int64_t tokens = 0;
  for (int64_t pair = 0; pair < pairs_.pairs.size(); ++pair)
    tokens += pair_tokens(pairs_.lengths, pair, batches_.answers);
  int64_t const disk = run_disk(*store_, options_.keep_checkpoints, final_dtype());
  comm::agree(world_, [&] {
    if (world_.rank() == 0) require_free_space(options_.run_dir, disk);
  });
  Balance const balance =
      balance_of(pairs_.lengths, static_cast<uint64_t>(options_.seed), steps_, batches_, layout_.data().size());
  int64_t const memory = rank_memory(*store_, balance.most_tokens, chunk_rows_);
  auto const bytes = [](int64_t count) { return format_bytes(static_cast<double>(count)); };
  log_line(options_.init.filename().string() + ": " + format_count(parameter_count(*store_)) + " parameters " +
           (adapter_ ? "(" + format_count(trained_count(*store_)) + " of them the adapter's, which is trained) " : "") +
           "in " + to_string(weights_) + ", " +
           formatted("%d ranks (tensor %d x data %d) of %d threads, ", world_.size(), layout_.tensor().size(),
                     layout_.data().size(), at::get_num_threads()) +
           format_count(pairs_.pairs.size()) + " pairs, " + format_count(steps_) + " steps of " +
           format_count(options_.global_batch_pairs) + " pairs, " + format_count(tokens) + " tokens a pass, " +
           describe(balance, layout_.data().size()) + ", about " + bytes(memory) + " of memory a rank, up to " +
           bytes(disk) + " on disk");
  if (from) log_line("going on from " + from->string());
}

void Run::record_start(int64_t first_step) {
  comm::agree(world_, [&] {
    if (world_.rank() != 0) return;
    checkpoint::StepFolders const folders(options_.run_dir);
    folders.prepare();
    folders.remove_after(first_step);
    folder_->record_start(identity_, options_.record, provenance_, first_step);
    folder_->write_status("running", {.step = first_step, .steps = steps_});
  });
}

Exit Run::train() {
  auto const from = resume_from();
  TrainingState state;
  if (from) comm::agree(world_, [&] { state = read_training_state(*from, identity_); });
  StepEngine engine(*store_, chunk_rows_, options_.recompute);
  trainer_ = std::make_unique<Trainer>(RunParts{.options = options_,
                                                .layout = layout_,
                                                .store = *store_,
                                                .optimizer = *optimizer_,
                                                .engine = engine,
                                                .watchdog = *watchdog_,
                                                .folder = folder_.get(),
                                                .train = pairs_,
                                                .eval = options_.eval_pairs.empty() ? nullptr : &eval_,
                                                .batches = batches_,
                                                .steps = steps_,
                                                .checkpoints = {.layout = layout_,
                                                                .small_files_from = options_.init,
                                                                .provenance = provenance_,
                                                                .identity = identity_,
                                                                .small_files = adapter_files()},
                                                .final_dtype = final_dtype(),
                                                .from = state,
                                                .started = started_});

  bool initial_loaded = false;
  auto const load_initial = [&] {
    comm::agree(world_, [&] { load_start(); });
    optimizer_->publish();
    initial_loaded = true;
  };
  announce(from);
  record_start(state.step);
  watchdog_->progress("loading the model");
  if (adapter_) comm::agree(world_, [&] { model::load_frozen(*store_, *checkpoint::open_model(options_.init)); });
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
  load_inputs();
  require_one_micro_batch();
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

Exit run(Options const& options, comm::Communicator const& world) { return Run(options, world).go(); }

}  // namespace refrain::train
