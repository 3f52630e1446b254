#include <refrain/checkpoint/adapter.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/checkpoint/checkpoint.hpp>
#include <refrain/checkpoint/safetensors.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace refrain::checkpoint {

namespace {

namespace fs = std::filesystem;

constexpr int64_t most_rank = 1 << 16;
std::string const peft_prefix = "base_model.model.";

/// Its value is as good as absent: null, false, an empty list or object.
bool says_nothing(Json const& value) {
  return value.is_null() || value == Json(false) || (value.is_structured() && value.empty());
}

void refuse_what_changes_results(Json const& config, fs::path const& path) {
  auto const refuse = [&](std::string const& key, std::string const& why, std::string const& remedy) {
    throw Error("'" + key + "' is " + dump_text(config.at(key)) + ": " + why, remedy, {.file = path, .object = key});
  };
  auto const holds = [&](char const* key) { return config.contains(key) && !says_nothing(config.at(key)); };
  if (holds("lora_dropout") && config.at("lora_dropout") != Json(0))
    if (!config.at("lora_dropout").is_number() || config.at("lora_dropout").get<double>() != 0)
      refuse("lora_dropout", "dropout is not supported", "set it to 0: the adapter's weights stay as they are");
  if (holds("bias") && config.at("bias") != Json("none"))
    refuse("bias", "trained biases are not supported", "use an adapter with bias none");
  for (char const* key : {"modules_to_save", "use_dora", "rank_pattern", "alpha_pattern", "layers_to_transform",
                          "layers_pattern", "layer_replication", "exclude_modules", "trainable_token_indices",
                          "target_parameters", "lora_bias", "fan_in_fan_out", "alora_invocation_tokens", "use_qalora",
                          "use_bdlora", "arrow_config", "eva_config", "corda_config"})
    if (holds(key)) refuse(key, "not supported", "use an adapter without it");
  // The others of PEFT's initialisations change the base model's weights too.
  if (auto const found = config.find("init_lora_weights"); found != config.end() && found->is_string())
    if (*found != "gaussian" && *found != "orthogonal")
      refuse("init_lora_weights", "its adapters belong to a changed base model",
             "convert the adapter to plain LoRA with PEFT's path_initial_model_for_weight_conversion");
}

struct Target {
  char const* name;    // "q_proj"
  char const* matrix;  // of a block: "self_attn.q_proj.weight"
};

// The matrices of a block, as parameter_list has them.
constexpr std::array<Target, 7> known_targets{{{"q_proj", "self_attn.q_proj.weight"},
                                               {"k_proj", "self_attn.k_proj.weight"},
                                               {"v_proj", "self_attn.v_proj.weight"},
                                               {"o_proj", "self_attn.o_proj.weight"},
                                               {"gate_proj", "mlp.gate_proj.weight"},
                                               {"up_proj", "mlp.up_proj.weight"},
                                               {"down_proj", "mlp.down_proj.weight"}}};

std::string_view without_weight(std::string_view matrix) { return matrix.substr(0, matrix.rfind(".weight")); }

/// The target that "q_proj" or "self_attn.q_proj" names, or null.
Target const* find_target(std::string_view name) {
  for (Target const& target : known_targets)
    if (name == target.name || name == without_weight(target.matrix)) return &target;
  return nullptr;
}

std::vector<std::string> read_targets(Json const& config, fs::path const& path) {
  Place const place{.file = path, .object = "target_modules"};
  auto const value = json_get<Json>(config, "target_modules", path);
  if (value.is_string()) {
    if (value != "all-linear")
      throw Error("'target_modules' is the pattern " + dump_text(value), "write the modules' names as a list", place);
    return parse_targets({"all-linear"}, place);
  }
  return parse_targets(json_get<std::vector<std::string>>(config, "target_modules", path), place);
}

/// Checks that A and B are there for each matrix, and only for targets; blocks without an adapter are found by
/// require_fit.
void check_tensors(Adapter const& adapter) {
  auto const& config = adapter.config;
  fs::path const& folder = adapter.tensors->folder();
  std::map<std::string, int> halves;
  for (auto const& info : adapter.tensors->tensors()) {
    auto const fail = [&](std::string const& problem) {
      throw Error(problem, "take the adapter's two files from the same folder", {.file = folder, .object = info.name});
    };
    std::string_view const name = info.name;
    bool const is_a = name.ends_with(".lora_A.weight"), is_b = name.ends_with(".lora_B.weight");
    if (!is_a && !is_b) fail("not a tensor of a LoRA adapter");
    std::string_view const module = name.substr(0, name.size() - std::string_view(".lora_A.weight").size());
    std::string const target(module.substr(module.rfind('.') + 1));
    if (std::find(config.targets.begin(), config.targets.end(), target) == config.targets.end())
      fail("the adapter's configuration does not name its matrix");
    if (info.shape.size() != 2 || info.shape[is_a ? 0 : 1] != config.rank)
      fail("shape is " + to_string(info.shape) + ", the configuration says rank " + std::to_string(config.rank));
    halves[std::string(module)] += is_a ? 1 : 2;
  }
  if (halves.empty()) throw Error("the adapter holds no tensors", "give another adapter", {.file = folder});
  for (auto const& [module, found] : halves)
    if (found != 3)
      throw Error(std::string("the adapter has no ") + (found == 1 ? "lora_B" : "lora_A"),
                  "restore the adapter's files from where they came", {.file = folder, .object = module});
}

}  // namespace

double AdapterConfig::scale() const {
  auto const r = static_cast<double>(rank);
  return alpha / (rslora ? std::sqrt(r) : r);
}

AdapterConfig AdapterConfig::from_json(Json const& config, fs::path const& path) {
  if (!config.is_object()) throw Error("is not a JSON object", "give an adapter that PEFT wrote", {.file = path});
  if (auto const type = json_get_or<std::string>(config, "peft_type", "", path); type != "LORA")
    throw Error("'peft_type' is " + dump_text(Json(type)), "give a LoRA adapter; other kinds are not supported",
                {.file = path});
  if (auto const task = json_get_or<std::string>(config, "task_type", "CAUSAL_LM", path); task != "CAUSAL_LM")
    throw Error("'task_type' is " + dump_text(Json(task)), "give an adapter of a causal language model",
                {.file = path});
  refuse_what_changes_results(config, path);
  AdapterConfig adapter{.rank = json_get<int64_t>(config, "r", path),
                        .alpha = json_get_or<double>(config, "lora_alpha", 8, path),
                        .targets = read_targets(config, path),
                        .rslora = json_get_or<bool>(config, "use_rslora", false, path)};
  if (adapter.rank < 1 || adapter.rank > most_rank)
    throw Error("'r' is " + std::to_string(adapter.rank) + ", should be between 1 and " + std::to_string(most_rank),
                "correct the file", {.file = path});
  if (!(adapter.alpha > 0) || !std::isfinite(adapter.alpha))
    throw Error("'lora_alpha' is " + dump_text(Json(adapter.alpha)) + ", should be above 0", "correct the file",
                {.file = path});
  return adapter;
}

AdapterConfig AdapterConfig::load(fs::path const& folder) {
  fs::path const path = folder / adapter_config_name;
  return from_json(read_json(path), path);
}

Json AdapterConfig::to_json(std::string const& base) const {
  // A whole number is written as one: some readers of the file want it so.
  bool const whole = alpha == std::floor(alpha) && alpha < 1e15;
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", base},
          {"r", rank},
          {"lora_alpha", whole ? Json(static_cast<int64_t>(alpha)) : Json(alpha)},
          {"use_rslora", rslora},
          {"target_modules", targets},
          {"lora_dropout", 0.0},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"init_lora_weights", true},
          {"inference_mode", true}};
}

std::vector<std::string> const& adapter_targets() {
  static std::vector<std::string> const names = [] {
    std::vector<std::string> list;
    for (Target const& target : known_targets) list.emplace_back(target.name);
    return list;
  }();
  return names;
}

std::vector<std::string> parse_targets(std::vector<std::string> const& names, Place const& place) {
  std::vector<bool> wanted(known_targets.size(), false);
  for (std::string const& name : names) {
    if (name == "all-linear") return adapter_targets();
    Target const* const target = find_target(name);
    if (target == nullptr)
      throw Error("no matrix of the model's blocks that an adapter can have is called '" + name + "'",
                  "those there are: " + joined(adapter_targets()), place);
    wanted[static_cast<std::size_t>(target - known_targets.data())] = true;
  }
  std::vector<std::string> ordered;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (wanted[i]) ordered.emplace_back(known_targets[i].name);
  if (ordered.empty()) throw Error("the adapter has no targets", "name some, or all-linear", place);
  return ordered;
}

std::vector<ParameterInfo> adapter_parameters(ModelConfig const& model, AdapterConfig const& adapter) {
  auto const layers = static_cast<int>(model.num_hidden_layers);
  std::map<std::string, ParameterInfo> matrices;
  for (auto& info : parameter_list(model)) matrices.emplace(info.name, std::move(info));
  std::vector<ParameterInfo> list;
  for (int i = 0; i < layers; ++i) {
    auto const for_targets = [&](auto const& add) {
      for (auto const& target : adapter.targets)
        add(matrices.at("model.layers." + std::to_string(i) + "." + find_target(target)->matrix));
    };
    int const unit = layers + 2 + i;
    for_targets([&](ParameterInfo const& w) {
      list.push_back({lora_a_name(w.name),
                      {adapter.rank, w.shape[1]},
                      w.split == Split::columns ? Split::columns : Split::none,
                      unit});
    });
    for_targets([&](ParameterInfo const& w) {
      list.push_back(
          {lora_b_name(w.name), {w.shape[0], adapter.rank}, w.split == Split::rows ? Split::rows : Split::none, unit});
    });
  }
  return list;
}

std::string lora_a_name(std::string_view matrix) { return std::string(without_weight(matrix)) + ".lora_A.weight"; }
std::string lora_b_name(std::string_view matrix) { return std::string(without_weight(matrix)) + ".lora_B.weight"; }
std::string peft_name(std::string const& name) { return peft_prefix + name; }

bool is_adapter(fs::path const& folder) { return fs::exists(folder / adapter_config_name); }

Adapter open_adapter(fs::path const& folder) {
  if (!fs::is_directory(folder))
    throw Error(fs::exists(folder) ? "this is a file, not a folder" : "the folder does not exist",
                "give an adapter's checkpoint or a folder that PEFT wrote", {.file = folder});
  if (!is_adapter(folder))
    throw Error("the folder holds no adapter (no adapter_config.json)",
                fs::exists(folder / "run.json")
                    ? "this is a run's folder; its adapter, once it has finished, is " + (folder / "final").string()
                    : "give an adapter's checkpoint or a folder that PEFT wrote",
                {.file = folder});
  Adapter adapter{.config = AdapterConfig::load(folder), .tensors = {}};
  if (fs::exists(folder / "manifest.json"))
    adapter.tensors = std::make_unique<Checkpoint>(folder);
  else
    adapter.tensors = std::make_unique<HuggingFaceSource>(folder, adapter_weights_name, peft_prefix);
  check_tensors(adapter);
  return adapter;
}

void require_fit(Adapter const& adapter, ModelConfig const& model) {
  fs::path const& folder = adapter.tensors->folder();
  auto const parameters = adapter_parameters(model, adapter.config);
  std::map<std::string, Shape> found;
  for (auto const& info : adapter.tensors->tensors()) found.emplace(info.name, info.shape);
  for (auto const& parameter : parameters) {
    auto const tensor = found.find(parameter.name);
    if (tensor == found.end())
      throw Error("the adapter has no such tensor, the model has its matrix", "give the model that it was trained for",
                  {.file = folder, .object = parameter.name});
    if (tensor->second != parameter.shape)
      throw Error("shape is " + to_string(tensor->second) + ", the model makes it " + to_string(parameter.shape),
                  "give the model that the adapter was trained for", {.file = folder, .object = parameter.name});
    found.erase(tensor);
  }
  if (!found.empty())
    throw Error("the model has no matrix for this tensor of the adapter", "give the model that it was trained for",
                {.file = folder, .object = found.begin()->first});
}

}  // namespace refrain::checkpoint
