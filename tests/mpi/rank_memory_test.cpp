// What a rank holds is what the planner's formula says, and no rank holds a model to load or to save it.
#include "fixtures.hpp"

#include <refrain/checkpoint/model_config.hpp>
#include <refrain/train/memory_model.hpp>
#include <refrain/train/training_state.hpp>

#include <ATen/ATen.h>
#include <catch2/catch.hpp>

#include <malloc.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <string>

using namespace refrain;
using namespace refrain::train;

namespace {

// Less than the model's weights (404 MB in fp32; with both moments 1.2 GB), which nobody may hold beside a shard.
constexpr int64_t bound = 256 << 20;

Json const config{{"model_type", "llama"},         {"vocab_size", 32000},       {"hidden_size", 1024},
                  {"intermediate_size", 2816},     {"num_hidden_layers", 3},    {"num_attention_heads", 16},
                  {"num_key_value_heads", 8},      {"tie_word_embeddings", false}, {"torch_dtype", "float32"}};

int64_t status_bytes(std::string const& field) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (int64_t kibibytes = 0; word == field && status >> kibibytes) return kibibytes * 1024;
  throw Error("no " + field, "", {.file = "/proc/self/status"});
}

// The most memory that this process had during `work` above what it had before.
int64_t memory_taken_by(std::function<void()> const& work) {
  malloc_trim(0);  // what earlier cases left
  std::ofstream reset("/proc/self/clear_refs");  // 5: the highest memory counts from now on
  REQUIRE(reset << 5 << std::flush);
  int64_t const before = status_bytes("VmRSS:");
  work();
  return status_bytes("VmHWM:") - before;
}

// Every page of the states is touched: what is measured comes on top of them.
void fill(Optimizer const& optimizer, double first) {
  for (int unit = 0; unit < optimizer.store().units(); ++unit) {
    optimizer.master(unit).fill_(first + unit);
    optimizer.exp_avg(unit).fill_(first + unit + 0.25);
    optimizer.exp_avg_sq(unit).fill_(first + unit + 0.5);
  }
}

void require_filled(Optimizer const& optimizer, double first) {
  for (int unit = 0; unit < optimizer.store().units(); ++unit) {
    REQUIRE(optimizer.master(unit).eq(first + unit).all().item<bool>());
    REQUIRE(optimizer.exp_avg(unit).eq(first + unit + 0.25).all().item<bool>());
    REQUIRE(optimizer.exp_avg_sq(unit).eq(first + unit + 0.5).all().item<bool>());
  }
}

}  // namespace

TEST_CASE("parameters, gradients and optimizer take what the formula says") {
  comm::Communicator const world = comm::Communicator::world();
  auto const model = checkpoint::ModelConfig::from_json(config, "config.json");
  auto const weights = GENERATE(DType::fp32, DType::bf16);
  auto const zero = GENERATE(model::Zero::none, model::Zero::optimizer, model::Zero::gradients, model::Zero::parameters);
  for (int const tensor : {1, 2}) {
    if (world.size() % tensor != 0) continue;
    comm::ParallelLayout const layout(world, tensor);
    RunLayout const run{.tensor = tensor, .data = world.size() / tensor, .zero = zero};
    RankMemory const formula = rank_memory(model, run, {.weights = weights}, {});
    int64_t const predicted =
        formula.parameters + formula.gathered + formula.gradients + formula.gradient_buffers + formula.optimizer;
    auto const backend = model::cpu_backend(layout);
    int64_t const taken = memory_taken_by([&] {
      model::ParameterStore store(model, *backend, {.weights = weights, .zero = zero});
      Optimizer optimizer(store);
      fill(optimizer, 1);
      for (int unit = 0; unit < store.units(); ++unit) {
        store.owned_weights(unit).fill_(1);
        store.flat_grads(unit).fill_(1);
        auto const lease = store.acquire(unit);
        store.reduce(unit);
      }
      store.finish_reductions();
      optimizer.publish();
    });
    INFO(run.text() << ": " << taken / 1000000 << " MB taken, " << predicted / 1000000 << " MB predicted");
    CHECK(std::abs(static_cast<double>(taken - predicted)) < 0.1 * static_cast<double>(predicted));
  }
}

TEST_CASE("loading and saving hold no second copy of the shard, and no whole model") {
  comm::Communicator const world = comm::Communicator::world();
  int const tensor = GENERATE(1, 2);
  if (world.size() % tensor != 0) return;
  CAPTURE(world.size(), tensor);
  std::optional<refrain::testing::TemporaryFolder> own;
  if (world.rank() == 0) own.emplace().write_json("config.json", config);
  std::filesystem::path const folder = world.broadcast(own ? own->path.string() : "", 0);

  comm::ParallelLayout const layout(world, tensor);
  auto const backend = model::cpu_backend(layout);
  model::ParameterStore store(checkpoint::ModelConfig::load(folder), *backend,
                              {.zero = model::Zero::parameters});
  Optimizer optimizer(store);
  CheckpointContext const context{.layout = layout, .small_files_from = folder, .provenance = {}, .identity = {}};
  StateWriter writer(optimizer, context, false);
  fill(optimizer, 1);
  store.zero_grads();

  CHECK(memory_taken_by([&] {
          writer.begin(folder / "state", {.step = 1}, checkpoint::ReadBack::yes);
          writer.finish();
        }) < bound);
  CHECK(memory_taken_by([&] { save_final(folder / "final", optimizer, context, DType::fp32, checkpoint::ReadBack::yes); }) <
        bound);

  fill(optimizer, 100);
  CHECK(memory_taken_by([&] { load_optimizer(folder / "state", optimizer); }) < bound);
  require_filled(optimizer, 1);
  fill(optimizer, 100);
  CHECK(memory_taken_by([&] {
          optimizer.load_master(*checkpoint::open_model(folder / "final"));
          optimizer.publish();
        }) < bound);
  for (int unit = 0; unit < store.units(); ++unit) CHECK(optimizer.master(unit).eq(1 + unit).all().item<bool>());
  world.barrier();  // before rank 0 removes the folder
}
