#include <refrain/checkpoint/model_config.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/checkpoint/model_family.hpp>
#include <refrain/checkpoint/tensor_source.hpp>

namespace refrain::checkpoint {

namespace {

constexpr int64_t most = int64_t{1} << 31;
/// Parameters of all layers stand in one list.
constexpr int64_t most_layers = int64_t{1} << 16;

class ConfigReader {
public:
  ConfigReader(Json const& config, std::filesystem::path const& path) : config_(config), path_(path) {
    if (!config.is_object()) throw Error("is not a JSON object", "give a model's config.json", {.file = path});
  }

  /// A count between 1 and 2^31. @param fallback 0: the key must be there
  int64_t count(std::string const& key, int64_t fallback = 0) const {
    auto const value =
        fallback == 0 ? json_get<int64_t>(config_, key, path_) : json_get_or<int64_t>(config_, key, fallback, path_);
    if (value < 1 || value > most)
      throw Error("'" + key + "' is " + std::to_string(value) + ", should be between 1 and 2^31", "correct the file",
                  place(key));
    return value;
  }

  double positive(Json const& object, std::string const& key, double fallback) const {
    auto const value = json_get_or<double>(object, key, fallback, path_);
    if (!(value > 0))
      throw Error("'" + key + "' is " + dump_text(Json(value)) + ", should be above 0", "correct the file", place(key));
    return value;
  }

  /// Refuses `key` unless it is absent, null, or `harmless`.
  void refuse_unless(std::string const& key, Json const& harmless, std::string const& why) const {
    auto const found = config_.find(key);
    if (found == config_.end() || found->is_null() || *found == harmless) return;
    throw Error("'" + key + "' is " + found->dump() + ": " + why, "use a model without it", place(key));
  }

  /// Refuses a model of more than `most_elements` weights: no product of its sizes overflows then.
  void refuse_enormous(ModelConfig const& model) const {
    auto const real = [](int64_t size) { return static_cast<double>(size); };
    double const heads = 2 * (real(model.num_attention_heads) + real(model.num_key_value_heads)) * real(model.head_dim);
    double const rows =
        real(model.num_hidden_layers) * (heads + 3 * real(model.intermediate_size)) + 2 * real(model.vocab_size);
    if (rows * real(model.hidden_size) <= real(most_elements)) return;
    throw Error("its sizes make a model of more than 2^48 weights", "correct the sizes", {.file = path_});
  }

  Json const& json() const { return config_; }
  std::filesystem::path const& path() const { return path_; }
  Place place(std::string const& key) const { return {.file = path_, .object = key}; }

private:
  Json const& config_;
  std::filesystem::path const& path_;
};

/// The object that describes rotary embeddings: transformers 5's rope_parameters, or rope_scaling, which wins there
/// too.
Json rope_object(ConfigReader const& reader) {
  for (auto const* key : {"rope_scaling", "rope_parameters"}) {
    auto const value = json_get_or<Json>(reader.json(), key, nullptr, reader.path());
    if (value.is_null() || (value.is_object() && value.empty())) continue;
    if (!value.is_object())
      throw Error("'" + std::string(key) + "' is " + dump_text(value) + ", should be an object", "correct the file",
                  reader.place(key));
    return value;
  }
  return Json::object();
}

void read_rope(ConfigReader const& reader, ModelConfig& model) {
  auto const rope = rope_object(reader);
  auto const& path = reader.path();
  model.rope_theta = reader.positive(rope, "rope_theta", reader.positive(reader.json(), "rope_theta", 10000));
  auto const type =
      json_get_or<std::string>(rope, "rope_type", json_get_or<std::string>(rope, "type", "default", path), path);
  auto& scaling = model.rope_scaling;
  if (type == "default") return;
  if (type != "linear" && type != "llama3")
    throw Error("rope type '" + type + "' is not supported", "known are default, linear and llama3",
                reader.place("rope_type"));
  scaling.type = type == "linear" ? RopeScaling::Type::linear : RopeScaling::Type::llama3;
  json_get<double>(rope, "factor", path);
  scaling.factor = reader.positive(rope, "factor", 1);
  if (scaling.type == RopeScaling::Type::linear) return;
  json_get<double>(rope, "low_freq_factor", path);
  json_get<double>(rope, "high_freq_factor", path);
  scaling.low_freq_factor = reader.positive(rope, "low_freq_factor", 1);
  scaling.high_freq_factor = reader.positive(rope, "high_freq_factor", 4);
  if (scaling.high_freq_factor <= scaling.low_freq_factor)
    throw Error("'high_freq_factor' is not above 'low_freq_factor'", "correct the file",
                reader.place("high_freq_factor"));
  // transformers takes the model's own length where the key is missing.
  scaling.original_max_position_embeddings =
      json_get_or<int64_t>(rope, "original_max_position_embeddings", model.max_position_embeddings, path);
  if (scaling.original_max_position_embeddings < 1)
    throw Error("'original_max_position_embeddings' should be above 0", "correct the file",
                reader.place("original_max_position_embeddings"));
}

DType read_dtype(ConfigReader const& reader) {
  auto const name = json_get_or<std::string>(
      reader.json(), "dtype", json_get_or<std::string>(reader.json(), "torch_dtype", "float32", reader.path()),
      reader.path());
  if (name == "bfloat16") return DType::bf16;
  if (name == "float16") return DType::fp16;
  if (name == "float32") return DType::fp32;
  throw Error("'dtype' is \"" + name + "\"", "known are bfloat16, float16 and float32", reader.place("dtype"));
}

ModelFamily const& read_family(ConfigReader const& reader) {
  auto const type = json_get<std::string>(reader.json(), "model_type", reader.path());
  if (auto const* family = find_family(type)) return *family;
  throw Error("'model_type' is \"" + type + "\"", "supported are " + known_families(), reader.place("model_type"));
}

void refuse_what_changes_results(ConfigReader const& reader, ModelFamily const& family) {
  reader.refuse_unless("hidden_act", "silu", "only silu is supported");
  reader.refuse_unless("attention_bias", false, "bias in attention is not supported");
  reader.refuse_unless("mlp_bias", false, "bias in the MLP is not supported");
  reader.refuse_unless("attention_dropout", 0, "dropout is not supported");
  reader.refuse_unless("pretraining_tp", 1, "sliced products are not supported");
  if (!family.names_unused_window)
    reader.refuse_unless("sliding_window", nullptr, "a sliding window is not supported");
  reader.refuse_unless("use_sliding_window", false, "a sliding window is not supported");
  for (auto const& type : json_get_or<std::vector<std::string>>(reader.json(), "layer_types", {}, reader.path()))
    if (type != "full_attention")
      throw Error("'layer_types' has \"" + type + "\"", "only full_attention is supported", reader.place("layer_types"));
  reader.refuse_unless("partial_rotary_factor", 1, "partial rotary embeddings are not supported");
  reader.refuse_unless("quantization_config", nullptr, "quantized weights are not supported");
}

}  // namespace

ModelConfig ModelConfig::from_json(Json const& config, std::filesystem::path const& path) {
  ConfigReader const reader(config, path);
  ModelFamily const& family = read_family(reader);
  refuse_what_changes_results(reader, family);
  ModelConfig model{};
  model.model_type = family.model_type;
  model.qkv_bias = family.qkv_bias;
  model.vocab_size = reader.count("vocab_size");
  model.hidden_size = reader.count("hidden_size");
  model.intermediate_size = reader.count("intermediate_size");
  model.num_hidden_layers = reader.count("num_hidden_layers");
  if (model.num_hidden_layers > most_layers)
    throw Error("'num_hidden_layers' is " + std::to_string(model.num_hidden_layers) + ", should be at most " +
                    std::to_string(most_layers),
                "correct the file", reader.place("num_hidden_layers"));
  model.num_attention_heads = reader.count("num_attention_heads");
  model.num_key_value_heads = reader.count("num_key_value_heads", family.num_key_value_heads > 0
                                                                     ? family.num_key_value_heads
                                                                     : model.num_attention_heads);
  if (model.num_attention_heads % model.num_key_value_heads != 0)
    throw Error(std::to_string(model.num_attention_heads) + " attention heads do not divide by " +
                    std::to_string(model.num_key_value_heads) + " key-value heads",
                "correct the file", reader.place("num_key_value_heads"));
  model.head_dim = json_get_or<int64_t>(config, "head_dim", 0, path);
  if (model.head_dim == 0) {
    if (model.hidden_size % model.num_attention_heads != 0)
      throw Error("hidden size " + std::to_string(model.hidden_size) + " does not divide by " +
                      std::to_string(model.num_attention_heads) + " heads, and there is no head_dim",
                  "correct the file", reader.place("num_attention_heads"));
    model.head_dim = model.hidden_size / model.num_attention_heads;
  }
  if (model.head_dim < 2 || model.head_dim > most || model.head_dim % 2 != 0)
    throw Error("'head_dim' is " + std::to_string(model.head_dim) + ", should be even and above 0", "correct the file",
                reader.place("head_dim"));
  reader.refuse_enormous(model);
  model.max_position_embeddings = reader.count("max_position_embeddings", family.max_position_embeddings);
  model.rms_norm_eps = reader.positive(config, "rms_norm_eps", 1e-6);
  model.initializer_range = reader.positive(config, "initializer_range", 0.02);
  model.tie_word_embeddings = json_get_or<bool>(config, "tie_word_embeddings", false, path);
  model.dtype = read_dtype(reader);
  read_rope(reader, model);
  return model;
}

ModelConfig ModelConfig::load(std::filesystem::path const& folder) {
  require_model_folder(folder);
  auto const path = folder / "config.json";
  return from_json(read_json(path), path);
}

std::vector<ParameterInfo> parameter_list(ModelConfig const& config) {
  auto const hidden = config.hidden_size, inner = config.intermediate_size;
  auto const queries = config.num_attention_heads * config.head_dim,
             keys = config.num_key_value_heads * config.head_dim;
  std::vector<ParameterInfo> list{{"model.embed_tokens.weight", {config.vocab_size, hidden}, Split::rows, 0}};
  auto const layers = static_cast<int>(config.num_hidden_layers);
  for (int i = 0; i < layers; ++i) {
    auto const prefix = "model.layers." + std::to_string(i) + ".";
    auto const add = [&](char const* name, Shape shape, Split split) {
      list.push_back({prefix + name, std::move(shape), split, 1 + i});
    };
    add("input_layernorm.weight", {hidden}, Split::none);
    add("self_attn.q_proj.weight", {queries, hidden}, Split::rows);
    add("self_attn.k_proj.weight", {keys, hidden}, Split::rows);
    add("self_attn.v_proj.weight", {keys, hidden}, Split::rows);
    if (config.qkv_bias) {
      add("self_attn.q_proj.bias", {queries}, Split::rows);
      add("self_attn.k_proj.bias", {keys}, Split::rows);
      add("self_attn.v_proj.bias", {keys}, Split::rows);
    }
    add("self_attn.o_proj.weight", {hidden, queries}, Split::columns);
    add("post_attention_layernorm.weight", {hidden}, Split::none);
    add("mlp.gate_proj.weight", {inner, hidden}, Split::rows);
    add("mlp.up_proj.weight", {inner, hidden}, Split::rows);
    add("mlp.down_proj.weight", {hidden, inner}, Split::columns);
  }
  list.push_back({"model.norm.weight", {hidden}, Split::none, 1 + layers});
  if (!config.tie_word_embeddings)
    list.push_back({"lm_head.weight", {config.vocab_size, hidden}, Split::rows, 1 + layers});
  return list;
}

}  // namespace refrain::checkpoint
