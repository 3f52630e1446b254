#include <refrain/inference/model_options.hpp>

#include <refrain/base/files.hpp>

namespace refrain::inference {

void ModelOptions::add_to(OptionTable& table, std::string const& what) {
  Range<int64_t> const most_ranks{.least = 1, .most = 1 << 15};
  table.group("Model")
      .add("checkpoint", checkpoint, "model that " + what + ": a checkpoint or a Hugging Face folder", "CKPT|HF_DIR")
      .add("adapter", adapter, "LoRA adapter to put on it: a checkpoint, or a folder that PEFT wrote", "CKPT|DIR")
      .add("tensor-parallel", tensor_parallel, "ranks that share the weights of one model", most_ranks)
      .add("data-parallel", data_parallel,
           "models side by side that work on different rows; 0: ranks / tensor-parallel", {.least = 0, .most = 1 << 15})
      .add("dtype", dtype, "number type of weights and cache; auto: the checkpoint's on a CPU, bf16 on a GPU")
      .add("device", device, "auto takes GPUs where every rank sees one")
      .add("cache-memory", cache_memory,
           "GiB of each rank for keys and values of rows under way; without it on a CPU enough for 65,536 "
           "tokens, but at most half of the memory that is free; on a GPU most of it",
           {.least = 0, .least_excluded = true})
      .add("timeout", timeout, "seconds after which a rank that gives no sign of life ends the job; 0: never",
           {.least = 0});
}

void ModelOptions::validate() const {
  require_folder(checkpoint, "--checkpoint");
  if (!adapter.empty()) require_folder(adapter, "--adapter");
}

std::string ModelOptions::first_changed() const {
  ModelOptions const unchanged;
  if (!adapter.empty()) return "--adapter";
  if (tensor_parallel != unchanged.tensor_parallel) return "--tensor-parallel";
  if (data_parallel != unchanged.data_parallel) return "--data-parallel";
  if (dtype != unchanged.dtype) return "--dtype";
  if (device != unchanged.device) return "--device";
  if (cache_memory) return "--cache-memory";
  return {};
}

}  // namespace refrain::inference
