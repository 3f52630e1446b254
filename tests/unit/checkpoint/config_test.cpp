#include "fixtures.hpp"

#include <refrain/checkpoint/model_config.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <iterator>

using namespace refrain;
using namespace refrain::checkpoint;
using namespace refrain::testing;

namespace {

Json llama() {
  return {{"model_type", "llama"},   {"vocab_size", 100},      {"hidden_size", 32},
          {"intermediate_size", 48}, {"num_hidden_layers", 2}, {"num_attention_heads", 4}};
}

ModelConfig with(Json const& more) {
  auto config = llama();
  config.update(more);
  return ModelConfig::from_json(config, "config.json");
}

std::string message(Json const& more) {
  return message_of([&] { with(more); });
}

}  // namespace

TEST_CASE("what config.json leaves out is transformers' default") {
  auto const config = with(Json::object());
  CHECK(config.num_key_value_heads == 4);
  CHECK(config.head_dim == 8);
  CHECK(config.rope_theta == 10000);
  CHECK(config.rms_norm_eps == 1e-6);
  CHECK(config.rope_scaling.type == RopeScaling::Type::none);
  CHECK(config.dtype == DType::fp32);
  CHECK_FALSE(config.tie_word_embeddings);
  CHECK(with({{"head_dim", 16}}).head_dim == 16);
  CHECK(with({{"torch_dtype", "bfloat16"}}).dtype == DType::bf16);
  CHECK(with({{"dtype", "float16"}}).dtype == DType::fp16);
}

TEST_CASE("rotary embeddings in the old and the new spelling") {
  Json const llama3{{"factor", 8.0},
                    {"low_freq_factor", 1.0},
                    {"high_freq_factor", 4.0},
                    {"original_max_position_embeddings", 4096},
                    {"rope_type", "llama3"}};
  for (bool old : {true, false}) {
    auto rope = llama3;
    Json config{{"max_position_embeddings", 131072}};
    if (old)
      config["rope_theta"] = 500000.0;
    else
      rope["rope_theta"] = 500000.0;
    config[old ? "rope_scaling" : "rope_parameters"] = rope;
    auto const read = with(config);
    CHECK(read.rope_theta == 500000);
    CHECK(read.rope_scaling.type == RopeScaling::Type::llama3);
    CHECK(read.rope_scaling.factor == 8);
    CHECK(read.rope_scaling.original_max_position_embeddings == 4096);
  }
  CHECK(with({{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}}).rope_scaling.type == RopeScaling::Type::linear);
  CHECK(with({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 7.0}}}, {"rope_scaling", nullptr}})
            .rope_theta == 7);
}

TEST_CASE("Qwen2 has biases, and names a window that it does not use") {
  Json const qwen2{{"model_type", "qwen2"}, {"num_key_value_heads", 2}, {"sliding_window", 4096}};
  auto const config = with(qwen2);
  CHECK(config.max_position_embeddings == 32768);
  auto const list = parameter_list(config);
  auto const bias = std::find_if(list.begin(), list.end(), [](ParameterInfo const& info) {
    return info.name == "model.layers.1.self_attn.k_proj.bias";
  });
  REQUIRE(bias != list.end());
  CHECK(bias->shape == Shape{16});
  CHECK(bias->split == Split::rows);
  CHECK(std::prev(bias)->name == "model.layers.1.self_attn.q_proj.bias");
  auto const refused = [&](Json const& more) {
    Json changed = qwen2;
    changed.update(more);
    return message(changed);
  };
  CHECK(refused({{"use_sliding_window", true}}) == "'use_sliding_window' is true: a sliding window is not supported "
                                                   "[config.json:use_sliding_window] (use a model without it)");
  CHECK(refused({{"layer_types", {"full_attention", "sliding_attention"}}}) ==
        "'layer_types' has \"sliding_attention\" [config.json:layer_types] (only full_attention is supported)");
}

TEST_CASE("what would change results is refused, never ignored") {
  CHECK(message({{"model_type", "gpt2"}}) ==
        "'model_type' is \"gpt2\" [config.json:model_type] (supported are llama and qwen2)");
  CHECK(message({{"attention_bias", true}}) == "'attention_bias' is true: bias in attention is not supported "
                                               "[config.json:attention_bias] (use a model without it)");
  CHECK(message({{"mlp_bias", true}}) ==
        "'mlp_bias' is true: bias in the MLP is not supported [config.json:mlp_bias] (use a model without it)");
  CHECK(message({{"hidden_act", "gelu"}}) ==
        "'hidden_act' is \"gelu\": only silu is supported [config.json:hidden_act] (use a model without it)");
  CHECK(message({{"sliding_window", 4096}}) == "'sliding_window' is 4096: a sliding window is not supported "
                                               "[config.json:sliding_window] (use a model without it)");
  CHECK(
      message({{"pretraining_tp", 2}}) ==
      "'pretraining_tp' is 2: sliced products are not supported [config.json:pretraining_tp] (use a model without it)");
  CHECK(
      message({{"attention_dropout", 0.1}}) ==
      "'attention_dropout' is 0.1: dropout is not supported [config.json:attention_dropout] (use a model without it)");
  CHECK(message({{"quantization_config", {{"bits", 4}}}}) ==
        "'quantization_config' is {\"bits\":4}: quantized weights are not supported [config.json:quantization_config] "
        "(use a model without it)");
  CHECK(message({{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 2.0}}}}) ==
        "rope type 'yarn' is not supported [config.json:rope_type] (known are default, linear and llama3)");
  CHECK(message({{"attention_bias", false},
                 {"pretraining_tp", 1},
                 {"sliding_window", nullptr},
                 {"attention_dropout", 0.0}}) == "nothing was thrown");
}

TEST_CASE("numbers that make no model are refused") {
  CHECK(message({{"vocab_size", -1}}) ==
        "'vocab_size' is -1, should be between 1 and 2^31 [config.json:vocab_size] (correct the file)");
  CHECK(message({{"hidden_size", "32"}}).starts_with("'hidden_size' is \"32\", should be a whole number"));
  CHECK(message({{"num_key_value_heads", 3}}) ==
        "4 attention heads do not divide by 3 key-value heads [config.json:num_key_value_heads] (correct the file)");
  CHECK(message({{"hidden_size", 34}}) == "hidden size 34 does not divide by 4 heads, and there is no head_dim "
                                          "[config.json:num_attention_heads] (correct the file)");
  CHECK(message({{"head_dim", 7}}) ==
        "'head_dim' is 7, should be even and above 0 [config.json:head_dim] (correct the file)");
  CHECK(message({{"dtype", "int4"}}) ==
        "'dtype' is \"int4\" [config.json:dtype] (known are bfloat16, float16 and float32)");
  CHECK(message({{"rms_norm_eps", 0}}).starts_with("'rms_norm_eps' is 0"));
}

TEST_CASE("sizes whose products would overflow are refused") {
  int64_t const most = int64_t{1} << 31;
  CHECK(message({{"vocab_size", most + 1}}) ==
        "'vocab_size' is 2147483649, should be between 1 and 2^31 [config.json:vocab_size] (correct the file)");
  CHECK(
      message({{"num_hidden_layers", most}}) ==
      "'num_hidden_layers' is 2147483648, should be at most 65536 [config.json:num_hidden_layers] (correct the file)");
  CHECK(with({{"num_hidden_layers", 65536}}).num_hidden_layers == 65536);
  std::string const enormous = "its sizes make a model of more than 2^48 weights [config.json] (correct the sizes)";
  CHECK(message({{"num_attention_heads", most}, {"head_dim", most}}) == enormous);
  CHECK(message({{"head_dim", most}, {"hidden_size", most}}) == enormous);
  CHECK(message({{"intermediate_size", most}, {"hidden_size", most}}) == enormous);
  CHECK(message({{"vocab_size", most}, {"hidden_size", most}}) == enormous);
  CHECK(message({{"num_hidden_layers", 65536}, {"intermediate_size", most}}) == enormous);
  CHECK(with({{"hidden_size", 16384},
              {"intermediate_size", 53248},
              {"num_hidden_layers", 126},
              {"num_attention_heads", 128},
              {"num_key_value_heads", 8},
              {"vocab_size", 128256}})
            .head_dim == 128);
}

TEST_CASE("parameters in the order of the forward pass") {
  auto const list = parameter_list(with({{"num_key_value_heads", 2}, {"head_dim", 6}}));
  CHECK(list.size() == 1 + 2 * 9 + 2);
  CHECK(list.front().name == "model.embed_tokens.weight");
  CHECK(list[2].name == "model.layers.0.self_attn.q_proj.weight");
  CHECK(list[2].shape == Shape{24, 32});
  CHECK(list[3].shape == Shape{12, 32});
  CHECK(list[5].split == Split::columns);
  CHECK(list.back().name == "lm_head.weight");
  CHECK(list.back().unit == 3);
  CHECK(parameter_list(with({{"tie_word_embeddings", true}})).back().name == "model.norm.weight");
}
