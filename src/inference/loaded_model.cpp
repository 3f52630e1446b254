#include <refrain/inference/loaded_model.hpp>

#include <refrain/base/host_memory.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/weights_digest.hpp>
#include <refrain/model/kv_cache.hpp>
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

/// Of a GPU's free memory, what keys and values may take: the rest is for the pass itself.
constexpr double cache_share_of_gpu = 0.8;
// A hundred rows under way keep any CPU busy; of memory beyond that each page costs its first touch.
constexpr int64_t cpu_cache_tokens = 1 << 16;

DType choose(Precision precision, bool on_gpu, DType of_checkpoint) {
  if (on_gpu && precision == Precision::fp32)
    throw UsageError("--dtype fp32 on a GPU: attention is computed in bf16 there",
                     "give --dtype bf16, or --device cpu");
  if (precision != Precision::automatic) return precision == Precision::bf16 ? DType::bf16 : DType::fp32;
  return on_gpu || of_checkpoint == DType::bf16 ? DType::bf16 : DType::fp32;
}

}  // namespace

LoadedModel::LoadedModel(ModelOptions const& options, comm::Communicator const& world)
    : options_(options),
      world_(world),
      layout_(world, static_cast<int>(options.tensor_parallel), options.data_parallel),
      on_gpu_(model::takes_gpus(options.device, world)) {
  if (on_gpu_) device_ = model::find_gpu(world).name;
  comm::agree(world, [&] {
    config_ = checkpoint::ModelConfig::load(options.checkpoint);
    model::check_tensor_degree(config_, static_cast<int>(options.tensor_parallel));
    stop_tokens_ = stop_tokens_of(options.checkpoint);
  });
  dtype_ = choose(options.dtype, on_gpu_, config_.dtype);
  digest_ = checkpoint::weights_digest(options.checkpoint, world);
  if (!options.adapter.empty()) digest_ += "+" + checkpoint::weights_digest(options.adapter, world);
}

model::ParameterStore& LoadedModel::load() {
  backend_ = on_gpu_ ? model::cuda_backend(layout_, options_.timeout) : model::cpu_backend(layout_);
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
  if (on_gpu_)
    return world_.min(
        static_cast<int64_t>(cache_share_of_gpu * static_cast<double>(model::find_gpu(world_).free_memory)));
  int64_t const enough = cpu_cache_tokens * model::KvCache::page_bytes(config_, layout_.tensor().size(), dtype_, 1);
  return world_.min(std::min<int64_t>(enough, available_memory() / (2 * world_.split_by_node().size())));
}

Json LoadedModel::identity() const {
  return {{"weights", digest_}, {"dtype", dtype_ == DType::bf16 ? "bf16" : "fp32"}};
}

Json LoadedModel::layout_record() const {
  return {{"tensor", layout_.tensor().size()},
          {"data", layout_.data().size()},
          {"threads", at::get_num_threads()},
          {"device", device_}};
}

}  // namespace refrain::inference
