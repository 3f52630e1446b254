#include <refrain/train/training_state.hpp>

#include <refrain/base/quiet_thread.hpp>
#include <refrain/checkpoint/checkpoint.hpp>
#include <refrain/model/device_errors.hpp>
#include <refrain/model/slices.hpp>
#include <refrain/train/run_folder.hpp>

#include <ATen/ATen.h>

namespace refrain::train {
namespace {

constexpr char const* weights_prefix = "/weights/";
constexpr char const* master_prefix = "/optimizer/master/";
constexpr char const* exp_avg_prefix = "/optimizer/exp_avg/";
constexpr char const* exp_avg_sq_prefix = "/optimizer/exp_avg_sq/";

using BufferOf = at::Tensor (Optimizer::*)(int) const;

/// All that this rank owns of one kind of values.
std::vector<model::FlatPart> owned_parts(Optimizer const& optimizer, BufferOf buffer) {
  std::vector<model::FlatPart> parts;
  model::ParameterStore const& store = optimizer.store();
  for (int unit = store.layout().first_trained(); unit < store.units(); ++unit)
    parts.push_back({unit, (optimizer.*buffer)(unit), store.owned(unit)});
  return parts;
}

/// This rank's share of writing them: its shard, also where every data rank owns everything.
std::vector<model::FlatPart> written_parts(Optimizer const& optimizer, BufferOf buffer) {
  model::ParameterLayout const& layout = optimizer.store().layout();
  std::vector<model::FlatPart> parts = owned_parts(optimizer, buffer);
  for (model::FlatPart& part : parts) {
    model::FlatRange const shard = layout.shard(part.unit);
    part = {part.unit, part.values.narrow(0, shard.begin - part.range.begin, shard.size()), shard};
  }
  return parts;
}

struct Kind {
  BufferOf buffer;
  char const* prefix;
};
constexpr Kind kinds[] = {{&Optimizer::master, master_prefix},
                          {&Optimizer::exp_avg, exp_avg_prefix},
                          {&Optimizer::exp_avg_sq, exp_avg_sq_prefix}};

}  // namespace

StateWriter::StateWriter(Optimizer const& optimizer, CheckpointContext const& context, bool copies)
    : optimizer_(optimizer), context_(context), copies_(copies) {}

StateWriter::~StateWriter() {
  if (checkpoint_) checkpoint_->abandon();
  join();
}

void StateWriter::join() {
  if (thread_.joinable()) thread_.join();
}

std::vector<checkpoint::SliceToWrite> StateWriter::copied_slices() {
  std::vector<checkpoint::SliceToWrite> slices;
  for (auto const& [buffer, prefix] : kinds) {
    auto parts = written_parts(optimizer_, buffer);
    if (copies_)
      for (model::FlatPart& part : parts) {
        at::Tensor& copy = copy_[{prefix, part.unit}];
        if (!copy.defined())
          copy = at::empty(part.values.sizes(), at::TensorOptions(at::kFloat).pinned_memory(part.values.is_cuda()));
        copy.copy_(part.values, /*non_blocking=*/true);
        part.values = copy;
      }
    model::append_slices(slices, optimizer_.store().layout(), parts, prefix, DType::fp32);
  }
  return slices;
}

void StateWriter::begin(std::filesystem::path const& folder, TrainingState const& state,
                        checkpoint::ReadBack read_back) {
  comm::Communicator const& world = context_.layout.world();
  Json const training{{"step", state.step},
                      {"epoch", state.epoch},
                      {"num_tokens", state.num_tokens},
                      {"tensor_parallel", context_.layout.tensor().size()},
                      {"data_parallel", context_.layout.data().size()},
                      {"identity", context_.identity}};
  std::vector<checkpoint::SliceToWrite> slices;
  comm::agree(world, [&] { model::with_device_errors([&] { slices = copied_slices(); }); });
  checkpoint_.emplace(
      world, folder,
      std::vector<checkpoint::FilePlan>{{.file = world.rank(), .files = world.size(), .slices = std::move(slices)}},
      checkpoint::CheckpointMeta{.small_files_from = context_.small_files_from,
                                 .training_state = training,
                                 .provenance = context_.provenance,
                                 .small_files = context_.small_files},
      read_back);
  if (!copies_) {
    checkpoint_->write([] {});
    return;
  }
  written_ = false;
  thread_ = quiet_thread([this, copied = optimizer_.store().backend().mark()] {
    checkpoint_->write(copied);
    written_ = true;
  });
}

bool StateWriter::written() const { return context_.layout.world().min(!copies_ || written_ ? 1 : 0) == 1; }

void StateWriter::finish() {
  join();
  try {
    checkpoint_->finish();
  } catch (...) {
    checkpoint_.reset();
    throw;
  }
  checkpoint_.reset();
}

void save_final(std::filesystem::path const& folder, Optimizer const& optimizer, CheckpointContext const& context,
                DType dtype, checkpoint::ReadBack read_back) {
  std::vector<checkpoint::SliceToWrite> slices;
  model::append_slices(slices, optimizer.store().layout(), written_parts(optimizer, &Optimizer::master), weights_prefix,
                       dtype);
  checkpoint::write_checkpoint(context.layout.world(), folder, slices,
                               {.small_files_from = context.small_files_from,
                                .training_state = nullptr,
                                .provenance = context.provenance,
                                .small_files = context.small_files},
                               read_back);
}

TrainingState read_training_state(std::filesystem::path const& folder, Json const& identity) {
  checkpoint::Checkpoint const source(folder);
  checkpoint::Manifest const& manifest = source.manifest();
  if (!manifest.resumable() || !manifest.training_state.is_object())
    throw Error("the checkpoint holds no optimizer state, so that training cannot go on from it",
                "start from it with --init, or resume from a folder step-...", {.file = folder});
  Json const& training = manifest.training_state;
  std::filesystem::path const file = folder / "manifest.json";
  if (std::string const difference = describe_difference(training.value("identity", Json::object()), identity);
      !difference.empty())
    throw UsageError("the checkpoint was made with other options: " + difference,
                     "give the options that it was made with, or start a new run in another --run-dir",
                     {.file = folder});
  return {.step = json_get<int64_t>(training, "step", file),
          .epoch = json_get<double>(training, "epoch", file),
          .num_tokens = json_get<double>(training, "num_tokens", file)};
}

void load_optimizer(std::filesystem::path const& folder, Optimizer& optimizer) {
  checkpoint::Checkpoint const source(folder);
  auto const read = [&](BufferOf buffer, std::string const& prefix) {
    model::read_slices(optimizer.store().layout(), owned_parts(optimizer, buffer), source, prefix);
  };
  read(&Optimizer::master, master_prefix);
  read(&Optimizer::exp_avg, exp_avg_prefix);
  read(&Optimizer::exp_avg_sq, exp_avg_sq_prefix);
}

}  // namespace refrain::train
