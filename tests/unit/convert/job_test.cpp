#include "fixtures.hpp"

#include <refrain/convert/job.hpp>

#include <refrain/checkpoint/tensor_source.hpp>

#include <catch2/catch.hpp>

#include <cmath>

using namespace refrain;
using namespace refrain::testing;
namespace fs = std::filesystem;

namespace {

Exit run(convert::Options const& options) { return convert::run(options, comm::Communicator::single()); }

std::vector<float> values(fs::path const& model, std::string const& name) {
  auto const source = checkpoint::open_model(model);
  auto const& shape = source->info(name).shape;
  std::vector<float> all(static_cast<std::size_t>(element_count(shape)));
  source->read_as(name, {Shape(shape.size(), 0), shape}, DType::fp32, std::as_writable_bytes(std::span(all)));
  return all;
}

}  // namespace

TEST_CASE("init follows transformers' rule, and export gives its bytes to import again") {
  TemporaryFolder const folder;
  auto const config = folder.write("config.json",
                                   R"({"model_type": "llama", "vocab_size": 301, "hidden_size": 32,
                                       "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
                                       "pad_token_id": 7, "initializer_range": 0.05, "torch_dtype": "bfloat16"})");
  convert::Options options;
  options.command = "init";
  options.model_config = config;
  options.out = folder.path / "ck";
  options.seed = 3;
  REQUIRE(run(options) == Exit::success);

  auto const embedding = values(options.out, "model.embed_tokens.weight");
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < embedding.size(); ++i) {
    if (i / 32 == 7) CHECK(embedding[i] == 0);
    sum += embedding[i];
    squares += static_cast<double>(embedding[i]) * embedding[i];
  }
  CHECK(std::abs(sum / 9600) < 0.002);
  CHECK(std::abs(std::sqrt(squares / 9600) - 0.05) < 0.0015);
  for (auto const norm : values(options.out, "model.norm.weight")) CHECK(norm == 1);

  convert::Options other;
  other.command = "export";
  other.checkpoint = options.out;
  other.out = folder.path / "hf";
  REQUIRE(run(other) == Exit::success);
  CHECK(read_file(other.out / "config.json") == read_file(config));
  other.command = "import";
  other.model = folder.path / "hf";
  other.out = folder.path / "again";
  REQUIRE(run(other) == Exit::success);
  CHECK(values(other.out, "lm_head.weight") == values(options.out, "lm_head.weight"));
  CHECK(checkpoint::open_model(other.out)->info("lm_head.weight").dtype == DType::bf16);
  other.dtype = convert::TargetType::fp32;
  other.out = folder.path / "wide";
  REQUIRE(run(other) == Exit::success);
  CHECK(values(other.out, "lm_head.weight") == values(options.out, "lm_head.weight"));
  CHECK(read_json(other.out / "config.json")["torch_dtype"] == "float32");

  convert::Options verify;
  verify.command = "verify";
  verify.paths = {other.out.string(), options.out.string()};
  CHECK(run(verify) == Exit::success);
  fs::resize_file(other.out / "config.json", 5);
  CHECK(run(verify) == Exit::failure);
}
