#include <refrain/inference/loaded_model.hpp>

#include <refrain/base/host_memory.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/weights_digest.hpp>
#include <refrain/model/slices.hpp>

#include <ATen/Parallel.h>

namespace refrain::inference {
namespace {

namespace fs = std::filesystem;

std::vector<int32_t> stop_tokens_of(fs::path const& folder) {
  for (char const* name : {"generation_config.json", "config.json"}) {
    if (!fs::exists(folder / name)) continue;
    Json const config = read_json(folder / name);
    if (!config.contains("eos_token_id") || config.at("eos_token_id").is_null()) continue;
    if (config.at("eos_token_id").is_array()) {
      auto const ids = json_get<std::vector<int64_t>>(config, "eos_token_id", folder / name);
      return {ids.begin(), ids.end()};
    }
    return {static_cast<int32_t>(json_get<int64_t>(config, "eos_token_id", folder / name))};
  }
  return {};
}

DType choose(Precision precision, DType of_checkpoint) {
  if (precision == Precision::bf16) return DType::bf16;
  if (precision == Precision::fp32) return DType::fp32;
  return of_checkpoint == DType::bf16 ? DType::bf16 : DType::fp32;
}

}  // namespace

LoadedModel::LoadedModel(ModelOptions const& options, comm::Communicator const& world)
    : options_(options),
      world_(world),
      layout_(world, static_cast<int>(options.tensor_parallel), options.data_parallel) {
  comm::agree(world, [&] {
    config_ = checkpoint::ModelConfig::load(options.checkpoint);
    model::check_tensor_degree(config_, static_cast<int>(options.tensor_parallel));
    stop_tokens_ = stop_tokens_of(options.checkpoint);
  });
  dtype_ = choose(options.dtype, config_.dtype);
  digest_ = checkpoint::weights_digest(options.checkpoint, world);
  if (!options.adapter.empty()) digest_ += "+" + checkpoint::weights_digest(options.adapter, world);
}

model::ParameterStore& LoadedModel::load() {
  backend_ = model::cpu_backend(layout_);
  store_.emplace(config_, *backend_, model::StoreOptions{.weights = dtype_, .gradients = false});
  comm::agree(world_, [&] {
    auto const model = checkpoint::open_model(options_.checkpoint);
    if (options_.adapter.empty()) return model::load_model(*store_, *model);
    checkpoint::Adapter const adapter = checkpoint::open_adapter(options_.adapter);
    model::load_model(*store_, *checkpoint::merged_model(*model, adapter));
  });
  return *store_;
}

int64_t LoadedModel::cache_bytes() const {
  if (options_.cache_memory) return static_cast<int64_t>(*options_.cache_memory * 0x1p30);
  return world_.min(available_memory() / (2 * world_.split_by_node().size()));
}

Json LoadedModel::identity() const {
  return {{"weights", digest_}, {"dtype", dtype_ == DType::bf16 ? "bf16" : "fp32"}};
}

Json LoadedModel::layout_record() const {
  return {{"tensor", layout_.tensor().size()},
          {"data", layout_.data().size()},
          {"threads", at::get_num_threads()},
          {"device", "cpu"}};
}

}  // namespace refrain::inference
