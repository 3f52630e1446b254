#include "small_model.hpp"

#include <refrain/base/error.hpp>
#include <refrain/checkpoint/tensor_source.hpp>
#include <refrain/model/slices.hpp>

#include <catch2/catch.hpp>

#include <cstring>
#include <limits>

using namespace refrain;
using namespace refrain::model;
using model::testing::OneRank;
using model::testing::small_config;

namespace {

/// Every tensor of a model in memory: the value at global index i of tensor n is n + i / 1000.
class MemorySource : public checkpoint::TensorSource {
public:
  explicit MemorySource(checkpoint::ModelConfig const& config) {
    folder_ = "memory";
    for (auto const& info : checkpoint::parameter_list(config)) {
      infos_.push_back({info.name, DType::fp32, info.shape});
      values_.push_back(at::arange(element_count(info.shape), at::kFloat)
                            .div_(1000)
                            .add_(static_cast<double>(values_.size()))
                            .view(info.shape));
    }
  }
  std::vector<checkpoint::TensorInfo> const& tensors() const override { return infos_; }
  void read(std::string const& name, checkpoint::Slice const& slice, std::span<std::byte> out) const override {
    at::Tensor part = values(name);
    for (std::size_t axis = 0; axis < slice.start.size(); ++axis)
      part = part.narrow(static_cast<int64_t>(axis), slice.start[axis], slice.count[axis]);
    part = part.contiguous();
    std::memcpy(out.data(), part.data_ptr(), part.nbytes());
  }
  at::Tensor values(std::string const& name) const {
    for (std::size_t i = 0; i < infos_.size(); ++i)
      if (infos_[i].name == name) return values_[i];
    throw Error("no such tensor", {}, {.object = name});
  }

private:
  std::vector<checkpoint::TensorInfo> infos_;
  std::vector<at::Tensor> values_;
};

void load(ParameterStore const& store, checkpoint::TensorSource const& source) {
  std::vector<FlatPart> parts;
  for (int unit = 0; unit < store.units(); ++unit)
    parts.push_back({unit, store.owned_weights(unit), store.owned(unit)});
  read_weights(store.layout(), parts, source);
}

}  // namespace

TEST_CASE("loaded weights are the file's, fused matrices lie in order") {
  OneRank model(small_config());
  MemorySource const source(small_config());
  load(model.store, source);
  for (ParamId id = 0; id < static_cast<ParamId>(model.store.specs().size()); ++id)
    CHECK(model.store.weight(id).equal(source.values(model.store.specs()[id].info.name)));
  std::string const attention = "model.layers.1.self_attn.";
  CHECK(model.store.fused_weight(model.store.id(attention + "q_proj.weight"), 3)
            .equal(at::cat({source.values(attention + "q_proj.weight"), source.values(attention + "k_proj.weight"),
                            source.values(attention + "v_proj.weight")})));
  CHECK(model.store.units() == 4);
  CHECK_THROWS_WITH(model.store.id("lm_head.bias"),
                    Catch::Contains("no such parameter") && Catch::Contains("lm_head.bias"));
}

TEST_CASE("a tied model has no output matrix of its own") {
  checkpoint::ModelConfig config = small_config();
  config.tie_word_embeddings = true;
  OneRank model(config);
  CHECK_THROWS_AS(model.store.id("lm_head.weight"), Error);
}

TEST_CASE("NaN and infinite weights are refused by name") {
  for (float const bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    OneRank model(small_config());
    MemorySource const source(small_config());
    source.values("model.layers.0.mlp.down_proj.weight")[3][4] = bad;
    CHECK_THROWS_WITH(load(model.store, source),
                      Catch::Contains("NaN") && Catch::Contains("model.layers.0.mlp.down_proj.weight"));
  }
}

TEST_CASE("a tensor of another shape is refused by name") {
  checkpoint::ModelConfig other = small_config();
  other.intermediate_size = 24;
  OneRank model(small_config());
  CHECK_THROWS_WITH(load(model.store, MemorySource(other)),
                    Catch::Contains("model.layers.0.mlp.gate_proj.weight") && Catch::Contains("[24, 16]"));
}

TEST_CASE("a tensor degree that does not divide names those that do") {
  checkpoint::ModelConfig config = small_config();
  check_tensor_degree(config, 2);
  CHECK_THROWS_WITH(check_tensor_degree(config, 4), Catch::Contains("2 key-value heads") && Catch::Contains("1, 2"));
  CHECK_THROWS_WITH(check_tensor_degree(config, 3), Catch::Contains("degree 3"));
}
