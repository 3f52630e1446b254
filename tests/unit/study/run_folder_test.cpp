#include "fixtures.hpp"

#include <refrain/study/disk.hpp>
#include <refrain/study/run_folder.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::study;
using namespace refrain::testing;

namespace {

/// A run that stops again and again.
class StoppedRun {
public:
  /// One more start, which stops there. @returns whether the study would give up now
  bool stop_at(Json const& status) const {
    folder_.write_json("run/status.json", status);
    auto const reached = run_.reached().numbers;
    Starts const starts(run_.path());
    bool const still = starts.stands_still(reached);
    starts.record("7", "refrain-train", 85, Ending::stopped_early, reached);
    return still;
  }

  RunFolder const& run() const noexcept { return run_; }

private:
  static TemporaryFolder const& with_run(TemporaryFolder const& folder) {
    make_folders(folder.path / "run");
    return folder;
  }

  TemporaryFolder folder_;
  RunFolder run_{with_run(folder_).path / "run"};
};

std::filesystem::path safetensors(TemporaryFolder const& folder, std::string const& name, Json const& header) {
  auto const text = dump_text(header);
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 2; ++i) bytes[i] = static_cast<char>(text.size() >> 8 * i);
  return folder.write(name, bytes + text);
}

Json tensor(std::string const& dtype, Shape const& shape) {
  auto const width = dtype == "F32" || dtype == "fp32" ? 4 : 2;
  return {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {100, 100 + width * element_count(shape)}}};
}

}  // namespace

TEST_CASE("a run stands still when three restarts in a row find it at the same place") {
  StoppedRun const run;
  CHECK_FALSE(run.stop_at({{"state", "stopped"}, {"step", 0}}));
  CHECK_FALSE(run.stop_at({{"state", "stopped"}, {"step", 0}, {"reference_batches", 3}}));
  CHECK(run.run().advance().text() == "step 0, after 3 batches of the reference pass");
  Json const further{{"state", "stopped"}, {"step", 0}, {"reference_batches", 7}};
  for (int start = 0; start < 3; ++start) CHECK_FALSE(run.stop_at(further));
  CHECK(run.stop_at(further));
  for (int64_t const step : {2, 4, 3, 4}) CHECK_FALSE(run.stop_at({{"state", "stopped"}, {"step", step}}));
  CHECK(run.run().advance().text() == "step 4");
  CHECK(run.stop_at({{"state", "stopped"}, {"step", 3}}));  // beyond 4 it never came
}

TEST_CASE("what a member writes follows from the number of parameters") {
  TemporaryFolder const folder;
  safetensors(folder, "model.safetensors",
              {{"__metadata__", {{"format", "pt"}}}, {"a", tensor("F32", {3, 5})}, {"b", tensor("BF16", {4})}});
  CHECK(count_parameters(folder.path) == 19);
  CHECK(peak_disk_bytes(folder.path) == 19 * 24 + 15 * 4 + 4 * 2);
  CHECK(peak_disk_bytes(folder.path, {"--epochs", "3", "--keep-checkpoints=2"}) == 19 * 36 + 15 * 4 + 4 * 2);
  safetensors(folder, "one.safetensors", {{"a", tensor("BF16", {3, 5})}});
  safetensors(folder, "two.safetensors", {{"b", tensor("BF16", {4})}, {"c", tensor("BF16", {})}});
  folder.write_json("model.safetensors.index.json",
                    {{"weight_map", {{"a", "one.safetensors"}, {"b", "two.safetensors"}, {"c", "two.safetensors"}}}});
  CHECK(count_parameters(folder.path) == 20);

  folder.write_json("manifest.json", {{"tensors", {{"/weights/a", tensor("bf16", {3, 5})}}}});
  CHECK(count_parameters(folder.path) == 15);
  folder.write_json("manifest.json", {{"tensors",
                                       {{"/optimizer/master/a", tensor("fp32", {3, 7})},
                                        {"/optimizer/exp_avg/a", tensor("fp32", {3, 7})}}}});
  CHECK(count_parameters(folder.path) == 21);
  CHECK(peak_disk_bytes(folder.path) == 21 * 28);
}

TEST_CASE("of an adapter, what a member writes follows from its rank and the matrices that it has") {
  TemporaryFolder const folder;
  safetensors(folder, "model.safetensors",
              {{"model.embed_tokens.weight", tensor("BF16", {100, 8})},
               {"model.layers.0.self_attn.q_proj.weight", tensor("BF16", {8, 8})},
               {"model.layers.0.self_attn.k_proj.weight", tensor("BF16", {4, 8})},
               {"model.layers.0.self_attn.q_proj.bias", tensor("BF16", {8})},
               {"model.layers.0.mlp.down_proj.weight", tensor("BF16", {8, 20})}});
  constexpr int64_t q = 16, k = 12, down = 28, bytes = 2 * 12 + 4;
  CHECK(peak_disk_bytes(folder.path, {"--lora-rank", "3"}) == 3 * (q + k + down) * bytes);
  CHECK(peak_disk_bytes(folder.path, {"--lora-rank=3", "--lora-targets", "all-linear"}) == 3 * (q + k + down) * bytes);
  CHECK(peak_disk_bytes(folder.path, {"--lora-rank=3", "--lora-targets", "self_attn.q_proj,down_proj"}) ==
        3 * (q + down) * bytes);
  CHECK(peak_disk_bytes(folder.path, {"--lora-targets", "q_proj", "k_proj", "--lora-rank", "3"}) ==
        3 * (q + k) * bytes);
  CHECK_THROWS_WITH(peak_disk_bytes(folder.path, {"--lora-rank", "3", "--lora-targets", "v_proj"}),
                    "the model has none of the matrices that --lora-targets names (correct --lora-targets)");
  TemporaryFolder const adapter;
  safetensors(adapter, "adapter_model.safetensors", {{"a", tensor("F32", {3, 5})}});
  CHECK(peak_disk_bytes(folder.path, {"--init-adapter", adapter.path.string()}) == 15 * bytes);
}

TEST_CASE("a model whose size cannot be told is refused") {
  TemporaryFolder const folder;
  CHECK_THROWS_WITH(count_parameters(folder.path), Catch::Contains("cannot open the file"));
  folder.write("model.safetensors", "short");
  CHECK_THROWS_WITH(count_parameters(folder.path), Catch::Contains("not a safetensors file, or one that is cut off"));
  folder.write_json("manifest.json", {{"tensors", Json::object()}});
  CHECK_THROWS_WITH(count_parameters(folder.path), Catch::Contains("the model has no parameters"));
}
