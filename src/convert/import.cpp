#include "commands.hpp"

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/boxes.hpp>
#include <refrain/checkpoint/model_config.hpp>
#include <refrain/checkpoint/small_files.hpp>

#include <map>
#include <optional>

namespace refrain::convert {

namespace {

using checkpoint::TensorInfo;

/// Every parameter that config.json wants, in the model's order and with the right shape, then whatever else the files
/// hold.
std::vector<TensorInfo> tensors_in_order(checkpoint::TensorSource const& source) {
  auto const config = checkpoint::ModelConfig::load(source.folder());
  std::vector<TensorInfo> ordered;
  std::map<std::string, TensorInfo> rest;
  for (auto const& info : source.tensors()) rest.emplace(info.name, info);
  for (auto const& parameter : parameter_list(config)) {
    auto const& found = source.info(parameter.name);
    if (found.shape != parameter.shape)
      throw Error("shape is " + to_string(found.shape) + ", config.json wants " + to_string(parameter.shape),
                  "check that config.json belongs to these weights",
                  {.file = source.folder(), .object = parameter.name});
    ordered.push_back(found);
    rest.erase(parameter.name);
  }
  for (auto const& [name, info] : rest) ordered.push_back(info);
  return ordered;
}

/// config.json with another dtype, under the key that it uses.
std::string config_with_dtype(std::filesystem::path const& path, DType dtype) {
  auto config = read_json(path);
  char const* name = dtype == DType::bf16 ? "bfloat16" : "float32";
  bool const old = config.contains("torch_dtype");
  if (old) config["torch_dtype"] = name;
  if (config.contains("dtype") || !old) config["dtype"] = name;
  return dump_text(config, 2) + "\n";
}

}  // namespace

Exit import_model(Options const& options, comm::Communicator const& world) {
  std::unique_ptr<checkpoint::TensorSource> source;
  std::vector<TensorInfo> ordered;
  checkpoint::CheckpointMeta meta;
  std::optional<DType> target;
  if (options.dtype != TargetType::keep) target = options.dtype == TargetType::bf16 ? DType::bf16 : DType::fp32;
  comm::agree(world, [&] {
    checkpoint::require_new_folder(options.out);
    bool const adapter = checkpoint::is_adapter(options.model);
    if (adapter)
      source = std::move(checkpoint::open_adapter(options.model).tensors);
    else
      source = checkpoint::open_model(options.model);
    ordered = adapter ? source->tensors() : tensors_in_order(*source);
    Provenance provenance("refrain-convert import", options.record);
    provenance.add_input(options.model);
    meta.small_files_from = options.model;
    meta.provenance = provenance.json();
    if (target && !adapter && checkpoint::ModelConfig::load(options.model).dtype != *target)
      meta.small_files["config.json"] = config_with_dtype(options.model / "config.json", *target);
  });

  int64_t done = 0, total = 0;
  for (auto const& info : ordered) total += element_count(info.shape);
  Progress progress("import", total / world.size(), "values");
  std::vector<checkpoint::SliceToWrite> tensors;
  for (auto const& info : ordered) {
    auto const dtype = target.value_or(info.dtype);
    tensors.push_back(
        whole_tensor(info, dtype, [&source, &progress, &done, info, dtype](int64_t first, std::span<std::byte> out) {
          auto const elements = static_cast<int64_t>(out.size() / size_of(dtype));
          source->read_as(info.name, checkpoint::consecutive_box(info.shape, first, elements), dtype, out);
          progress.advance(done += elements, info.name);
        }));
  }
  write_checkpoint_files(world, options.out, plan_files(std::move(tensors), world), meta, checkpoint::ReadBack::yes);
  if (world.rank() == 0)
    log_line("imported " + std::to_string(ordered.size()) + " tensors into " + options.out.string());
  return Exit::success;
}

}  // namespace refrain::convert
