#include <refrain/train/identity.hpp>

#include <refrain/base/digest.hpp>
#include <refrain/base/files.hpp>

#include <algorithm>
#include <fstream>
#include <vector>

namespace refrain::train {
namespace {

namespace fs = std::filesystem;

/// A digest of a model that reads little of it: of manifest.json, which holds the digests of all tensors, or else of
/// config.json and of the name, size and header of every weights file.
std::string model_digest(fs::path const& folder) {
  if (fs::exists(folder / "manifest.json")) return sha256_file(folder / "manifest.json");
  std::string text = read_file(folder / "config.json");
  std::vector<fs::path> files;
  for (auto const& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (auto const& file : files) {
    std::string header(std::size_t{1} << 16, '\0');
    std::ifstream in(file, std::ios::binary);
    in.read(header.data(), static_cast<std::streamsize>(header.size()));
    header.resize(static_cast<std::size_t>(in.gcount()));
    text += file.filename().string() + '\0' + std::to_string(fs::file_size(file)) + '\0' + header;
  }
  return sha256(text);
}

/// The same of an adapter; PEFT's two files are small enough to be read.
std::string adapter_digest(fs::path const& folder) {
  if (fs::exists(folder / "manifest.json")) return sha256_file(folder / "manifest.json");
  return sha256(sha256_file(folder / checkpoint::adapter_config_name) +
                sha256_file(folder / checkpoint::adapter_weights_name));
}

}  // namespace

Json run_identity(Options const& options, DType weights, std::optional<checkpoint::AdapterConfig> const& adapter) {
  Json identity{{"loss", choice_name(options.loss)},
                {"learning-rate", options.learning_rate},
                {"lr-schedule", choice_name(options.lr_schedule)},
                {"warmup-ratio", options.warmup_ratio},
                {"epochs", options.max_steps ? Json(nullptr) : Json(options.epochs)},
                {"max-steps", options.max_steps ? Json(*options.max_steps) : Json(nullptr)},
                {"global-batch-pairs", options.global_batch_pairs},
                {"max-grad-norm", options.max_grad_norm},
                {"weight-decay", options.weight_decay},
                {"seed", options.seed},
                {"shuffle", options.shuffle},
                {"dtype", to_string(weights)},
                {"grad-dtype", options.grad_dtype == GradPrecision::weights ? to_string(weights) : "fp32"},
                {"pairs", sha256_file(options.pairs)},
                {"init", model_digest(options.init)},
                {"eval-pairs", options.eval_pairs.empty() ? Json(nullptr) : Json(sha256_file(options.eval_pairs))},
                {"eval-every", options.eval_every ? Json(*options.eval_every) : Json(nullptr)}};
  if (adapter)
    identity["lora"] = {
        {"rank", adapter->rank},
        {"alpha", adapter->alpha},
        {"targets", adapter->targets},
        {"rslora", adapter->rslora},
        {"init-adapter", options.init_adapter.empty() ? Json(nullptr) : Json(adapter_digest(options.init_adapter))}};
  if (options.needs_reference()) {
    identity["beta"] = options.beta;
    identity["label-smoothing"] = options.label_smoothing;
    identity["sft-weight"] = options.sft_weight;
  }
  return identity;
}

Json reference_key(Json const& identity) {
  Json key;
  // The pairs that a run meets follow from its steps, its order and its batches.
  for (char const* name :
       {"pairs", "init", "eval-pairs", "dtype", "epochs", "max-steps", "global-batch-pairs", "seed", "shuffle"})
    key[name] = identity.at(name);
  // A fresh adapter adds nothing to its model; one that training goes on from does.
  if (identity.contains("lora") && !identity.at("lora").at("init-adapter").is_null()) key["lora"] = identity.at("lora");
  return key;
}

}  // namespace refrain::train
