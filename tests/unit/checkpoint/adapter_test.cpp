#include "fixtures.hpp"

#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/safetensors.hpp>

#include <catch2/catch.hpp>

#include <cmath>

using namespace refrain;
using namespace refrain::checkpoint;
using namespace refrain::testing;

namespace {

Json lora(Json const& more = Json::object()) {
  Json config{{"peft_type", "LORA"},
              {"task_type", "CAUSAL_LM"},
              {"r", 4},
              {"lora_alpha", 8},
              {"target_modules", {"v_proj", "q_proj"}},
              {"lora_dropout", 0.0},
              {"bias", "none"}};
  config.update(more);
  return config;
}

AdapterConfig with(Json const& more) { return AdapterConfig::from_json(lora(more), "adapter_config.json"); }

std::string problem(Json const& more) {
  return problem_of([&] { with(more); });
}

ModelConfig model() {
  return ModelConfig::from_json({{"model_type", "llama"},
                                 {"vocab_size", 100},
                                 {"hidden_size", 32},
                                 {"intermediate_size", 48},
                                 {"num_hidden_layers", 2},
                                 {"num_attention_heads", 4},
                                 {"num_key_value_heads", 2}},
                                "config.json");
}

}  // namespace

TEST_CASE("an adapter's configuration, its targets in a block's order") {
  auto const config = with(Json::object());
  CHECK(config.rank == 4);
  CHECK(config.alpha == 8);
  CHECK(config.targets == std::vector<std::string>{"q_proj", "v_proj"});
  CHECK(config.scale() == 2);
  CHECK(with({{"use_rslora", true}}).scale() == 4);
  CHECK(with({{"target_modules", "all-linear"}}).targets == adapter_targets());
  CHECK(with({{"target_modules", {"mlp.down_proj"}}}).targets == std::vector<std::string>{"down_proj"});
  CHECK(with({{"use_rslora", true}, {"r", 7}, {"lora_alpha", 3.5}}) ==
        AdapterConfig::from_json(with({{"use_rslora", true}, {"r", 7}, {"lora_alpha", 3.5}}).to_json("base"), "again"));
}

TEST_CASE("what changes an adapter's result and is not supported is refused by name") {
  for (Json const& more :
       {Json{{"lora_dropout", 0.05}}, Json{{"bias", "all"}}, Json{{"modules_to_save", {"lm_head"}}},
        Json{{"use_dora", true}}, Json{{"rank_pattern", {{"q_proj", 8}}}}, Json{{"alpha_pattern", {{"q_proj", 8}}}},
        Json{{"layers_to_transform", {0}}}, Json{{"init_lora_weights", "pissa"}}, Json{{"r", 0}},
        Json{{"lora_alpha", 0}}, Json{{"peft_type", "IA3"}}, Json{{"task_type", "SEQ_CLS"}},
        Json{{"target_modules", ".*_proj"}}})
    CHECK_THAT(problem(more), Catch::Contains("'" + more.begin().key() + "'"));
  for (Json const& harmless :
       {Json{{"modules_to_save", nullptr}}, Json{{"rank_pattern", Json::object()}}, Json{{"use_dora", false}},
        Json{{"init_lora_weights", "gaussian"}}, Json{{"task_type", nullptr}}, Json{{"exclude_modules", nullptr}}})
    CHECK(problem(harmless) == "nothing was thrown");
}

TEST_CASE("targets that no block has are refused, and those there are named") {
  auto const error = thrown_by([] { parse_targets({"q_proj", "query"}, {}); });
  REQUIRE(error);
  CHECK_THAT(error->problem(), Catch::Contains("'query'"));
  CHECK_THAT(error->remedy(), Catch::Contains("q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"));
}

TEST_CASE("an adapter's parameters: shapes, units, and how tensor ranks divide them") {
  auto const list = adapter_parameters(model(), with({{"target_modules", {"down_proj", "k_proj"}}}));
  REQUIRE(list.size() == 8);
  auto const is = [&](std::size_t i, char const* name, Shape const& shape, Split split, int unit) {
    CHECK(list[i].name == name);
    CHECK(list[i].shape == shape);
    CHECK(list[i].split == split);
    CHECK(list[i].unit == unit);
  };
  is(0, "model.layers.0.self_attn.k_proj.lora_A.weight", {4, 32}, Split::none, 4);
  is(1, "model.layers.0.mlp.down_proj.lora_A.weight", {4, 48}, Split::columns, 4);
  is(2, "model.layers.0.self_attn.k_proj.lora_B.weight", {16, 4}, Split::rows, 4);
  is(3, "model.layers.0.mlp.down_proj.lora_B.weight", {32, 4}, Split::none, 4);
  is(7, "model.layers.1.mlp.down_proj.lora_B.weight", {32, 4}, Split::none, 5);
}

TEST_CASE("a folder whose tensors are not what its configuration says is refused") {
  TemporaryFolder const folder;
  folder.write_json("adapter_config.json", lora({{"target_modules", {"q_proj"}}}));
  auto const problem_with = [&](std::vector<TensorInfo> const& tensors) {
    SafetensorsWriter file(folder.path / "adapter_model.safetensors", tensors);
    int64_t bytes = 0;
    for (auto const& info : tensors) bytes += element_count(info.shape) * 4;
    file.write(std::vector<std::byte>(static_cast<std::size_t>(bytes)));
    file.finish();
    return problem_of([&] { require_fit(open_adapter(folder.path), model()); });
  };
  std::string const q = "base_model.model.model.layers.0.self_attn.q_proj.", other = "base_model.model.model.layers.1.";
  TensorInfo const a{q + "lora_A.weight", DType::fp32, {4, 32}}, b{q + "lora_B.weight", DType::fp32, {32, 4}};
  TensorInfo const a1{other + "self_attn.q_proj.lora_A.weight", DType::fp32, {4, 32}},
      b1{other + "self_attn.q_proj.lora_B.weight", DType::fp32, {32, 4}};
  CHECK(problem_with({a, b, a1, b1}) == "nothing was thrown");
  CHECK_THAT(problem_with({a, b}), Catch::Contains("no such tensor"));
  CHECK_THAT(problem_with({a, a1, b1}), Catch::Contains("no lora_B"));
  CHECK_THAT(problem_with({a, b, a1, b1, {"base_model.model.lm_head.weight", DType::fp32, {2, 2}}}),
             Catch::Contains("not a tensor of a LoRA adapter"));
  CHECK_THAT(problem_with({a, b, a1, {b1.name, DType::fp32, {30, 4}}}), Catch::Contains("[30, 4]"));
  CHECK_THAT(problem_with({{a.name, DType::fp32, {5, 32}}, b, a1, b1}), Catch::Contains("rank 4"));
  CHECK_THAT(problem_with({{q + "lora_A.weight.x", DType::fp32, {1}}}), Catch::Contains("not a tensor"));
  CHECK_THAT(problem_with({{"model.lm_head.weight", DType::fp32, {1}}}), Catch::Contains("does not begin"));
}
