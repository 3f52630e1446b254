#include <refrain/train/training_state.hpp>

#include <refrain/checkpoint/checkpoint.hpp>
#include <refrain/model/slices.hpp>
#include <refrain/train/run_folder.hpp>

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
void append(std::vector<checkpoint::SliceToWrite>& slices, Optimizer const& optimizer, BufferOf buffer,
            std::string const& prefix, DType dtype) {
  model::ParameterLayout const& layout = optimizer.store().layout();
  std::vector<model::FlatPart> parts = owned_parts(optimizer, buffer);
  for (model::FlatPart& part : parts) {
    model::FlatRange const shard = layout.shard(part.unit);
    part = {part.unit, part.values.narrow(0, shard.begin - part.range.begin, shard.size()), shard};
  }
  model::append_slices(slices, layout, parts, prefix, dtype);
}

}  // namespace

void save_state(std::filesystem::path const& folder, TrainingState const& state, Optimizer const& optimizer,
                CheckpointContext const& context, checkpoint::ReadBack read_back) {
  std::vector<checkpoint::SliceToWrite> slices;
  append(slices, optimizer, &Optimizer::master, master_prefix, DType::fp32);
  append(slices, optimizer, &Optimizer::exp_avg, exp_avg_prefix, DType::fp32);
  append(slices, optimizer, &Optimizer::exp_avg_sq, exp_avg_sq_prefix, DType::fp32);
  Json const training{{"step", state.step},
                      {"epoch", state.epoch},
                      {"num_tokens", state.num_tokens},
                      {"tensor_parallel", context.layout.tensor().size()},
                      {"data_parallel", context.layout.data().size()},
                      {"identity", context.identity}};
  checkpoint::write_checkpoint(context.layout.world(), folder, slices,
                               {.small_files_from = context.small_files_from,
                                .training_state = training,
                                .provenance = context.provenance,
                                .small_files = context.small_files},
                               read_back);
}

void save_final(std::filesystem::path const& folder, Optimizer const& optimizer, CheckpointContext const& context,
                DType dtype, checkpoint::ReadBack read_back) {
  std::vector<checkpoint::SliceToWrite> slices;
  append(slices, optimizer, &Optimizer::master, weights_prefix, dtype);
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
