#include <refrain/train/planner.hpp>

#include <refrain/base/files.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <ctime>

using namespace refrain;
using namespace refrain::train;
using model::SequenceParallel;
using model::Zero;

namespace {

// Llama-3.1-70B's sizes.
checkpoint::ModelConfig llama_70b() {
  return {.vocab_size = 128256,
          .hidden_size = 8192,
          .intermediate_size = 28672,
          .num_hidden_layers = 80,
          .num_attention_heads = 64,
          .num_key_value_heads = 8,
          .head_dim = 128,
          .max_position_embeddings = 131072,
          .rms_norm_eps = 1e-5,
          .rope_theta = 500000,
          .initializer_range = 0.02,
          .rope_scaling = {},
          .tie_word_embeddings = false,
          .dtype = DType::bf16};
}

checkpoint::ModelConfig small() {
  checkpoint::ModelConfig config = llama_70b();
  config.vocab_size = 8000;
  config.hidden_size = 512;
  config.intermediate_size = 1376;
  config.num_hidden_layers = 4;
  config.num_attention_heads = config.num_key_value_heads = 8;
  config.head_dim = 64;
  return config;
}

Workload workload(int64_t pairs = 1000) {
  return {.lengths = Workload::like_refuseu(pairs), .batches = {}, .steps = 3 * pairs / 64};
}

Cluster cluster(int nodes, char const* machine, int ranks_per_node = 4) {
  return {.nodes = nodes,
          .ranks_per_node = ranks_per_node,
          .machine = find_machine(machine, data_file("train/machines.json"))};
}

Planner planner(checkpoint::ModelConfig const& config, Cluster const& cluster, double memory,
                DType grads = DType::fp32) {
  bool const gpu = cluster.machine.kind == DeviceKind::gpu;
  return Planner(config, {.weights = gpu ? DType::bf16 : DType::fp32, .grads = grads, .device = cluster.machine.kind},
                 cluster, workload(), memory);
}

// Parameters, gradients and optimizer of a rank at tensor degree 4.
double states_gb(Zero zero, int data, DType grads) {
  RankMemory const memory = rank_memory(
      llama_70b(), {.tensor = 4, .data = data, .zero = zero, .sequence = SequenceParallel::on},
      {.weights = DType::bf16, .grads = grads, .device = DeviceKind::gpu}, {.tokens = 8192, .scored = 2000});
  return static_cast<double>(memory.parameters + memory.gradients + memory.optimizer) / 1e9;
}

}  // namespace

TEST_CASE("70B's parameters, gradients and optimizer take what its table says") {
  CHECK(parameter_count(llama_70b()) == 70'553'706'496);
  struct Row {
    Zero zero;
    int data;
    double bf16, fp32;  // GB a rank by the type of gradients
  };
  for (Row const& row :
       {Row{Zero::optimizer, 8, 97, 132}, Row{Zero::optimizer, 16, 84, 119}, Row{Zero::gradients, 8, 66, 71},
        Row{Zero::gradients, 16, 51, 53}, Row{Zero::parameters, 4, 71, 79}, Row{Zero::parameters, 6, 47, 53},
        Row{Zero::parameters, 8, 35, 40}}) {
    INFO("zero " << static_cast<int>(row.zero) << ", data " << row.data);
    CHECK(states_gb(row.zero, row.data, DType::bf16) == Approx(row.bf16).margin(0.6));
    CHECK(states_gb(row.zero, row.data, DType::fp32) == Approx(row.fp32).margin(0.6));
  }
  CHECK(run_disk(llama_70b()).checkpoint_bytes() / 1'000'000'000 == 846);
  CHECK(run_disk(llama_70b()).peak_bytes(1) / 1'000'000'000 == 1834);
}

TEST_CASE("saved block inputs of 70B, whole and shared over the tensor ranks") {
  auto const kept = [](SequenceParallel sequence) {
    return static_cast<double>(
               rank_memory(llama_70b(), {.tensor = 4, .data = 8, .sequence = sequence, .recompute = Recompute::block},
                           {.weights = DType::bf16, .device = DeviceKind::gpu}, {.tokens = 8192, .scored = 2000})
                   .kept) /
           1e9;
  };
  CHECK(kept(SequenceParallel::off) == Approx(10.7).margin(0.2));
  CHECK(kept(SequenceParallel::on) == Approx(2.7).margin(0.1));
}

TEST_CASE("70B on GPUs: planned within seconds, sharded as far as it must be") {
  std::clock_t const begin = std::clock();  // this process's, which other load does not lengthen
  Planner const plan = planner(llama_70b(), cluster(8, "H100"), 76e9);
  Candidate const best = plan.candidates({}).front();
  CHECK(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC < 5);
  REQUIRE(best.fits);
  CHECK(best.layout.tensor == 4);
  CHECK(best.layout.zero >= Zero::gradients);
  CHECK(static_cast<double>(best.memory.total()) < 76e9);
  // Those that fit come first, and none of them is faster by more than the 1 % that simplicity is worth.
  bool fitting = true;
  for (Candidate const& other : plan.candidates({})) {
    CHECK((fitting || !other.fits));
    fitting = other.fits;
    if (other.fits) CHECK(best.time.total() <= 1.011 * other.time.total());
  }
}

TEST_CASE("where 70B does not fit the plan says what would") {
  Planner const plan = planner(llama_70b(), cluster(1, "A100-64"), 61e9);
  CHECK_FALSE(plan.candidates({}).front().fits);
  std::vector<std::string> const remedies = plan.remedies({});
  REQUIRE_FALSE(remedies.empty());
  std::string all;
  for (auto const& line : remedies) all += line + "\n";
  CHECK(all.find("nodes like these: tensor 4 x data") != std::string::npos);
  CHECK(all.find("an adapter (--lora-rank; LoRA)") != std::string::npos);
}

TEST_CASE("a small model on CPUs stays as simple as memory allows") {
  auto const choice = [](double memory, LayoutWishes const& wishes) {
    return planner(small(), cluster(1, "CPU"), memory).candidates(wishes).front();
  };
  RunLayout const simplest = choice(1e12, {}).layout;
  CHECK(simplest.text() == "tensor 1 x data 4, zero 0, recompute none");
  double const whole = static_cast<double>(choice(1e12, {}).memory.total());
  Candidate const next = choice(0.95 * whole, {});
  CHECK(next.fits);
  CHECK(next.layout.text() == "tensor 1 x data 4, zero 1, recompute none");
  // What is given stays, whether it fits or not.
  Candidate const given = choice(0.3 * whole, {.tensor = 1, .zero = Zero::none, .recompute = Recompute::selective});
  CHECK_FALSE(given.fits);
  CHECK(given.layout.text() == "tensor 1 x data 4, zero 0, recompute selective");
  CHECK(choice(1e12, {.tensor = 2}).layout.text() == "tensor 2 x data 2, zero 0, recompute none");
  CHECK(choice(1e12, {.data = 1}).layout.text() == "tensor 4 x data 1, zero 0, recompute none");
}

TEST_CASE("layouts that cannot be are refused") {
  auto const told = [](LayoutWishes const& wishes) {
    try {
      planner(small(), cluster(1, "CPU"), 1e12).candidates(wishes);
    } catch (Error const& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(
      told({.tensor = 3}) ==
      "--tensor-parallel 3 does not divide 4 ranks (with 4 ranks, tensor x data parallel can be 1 x 4, 2 x 2, 4 x 1)");
  CHECK(told({.data = 3}) == "--data-parallel 3 does not divide 4 ranks (give a number that does)");
  CHECK_THROWS_WITH(find_machine("Z80", data_file("train/machines.json")),
                    Catch::Contains("--machine Z80 is not known") && Catch::Contains("H100, H200"));
}

TEST_CASE("a driver's name of a GPU tells its machine") {
  auto const machine = [](char const* device, double memory) {
    return find_gpu_machine(device, memory, data_file("train/machines.json")).name;
  };
  CHECK(machine("NVIDIA H100 80GB HBM3", 79e9) == "H100");
  CHECK(machine("NVIDIA H200", 140e9) == "H200");
  CHECK(machine("NVIDIA GH200 120GB", 95e9) == "GH200");
  CHECK(machine("NVIDIA A100-SXM-64GB", 63e9) == "A100-64");
  CHECK(machine("NVIDIA A100-SXM4-40GB", 39e9) == "A100-40");
  CHECK(machine("NVIDIA B300", 280e9) == "H100");
}

TEST_CASE("a copy of the state for checkpoints takes host memory of a CPU alone") {
  auto const copy = [](DeviceKind device) {
    return rank_memory(small(), {.data = 2}, {.device = device, .copies_state = true}, {.tokens = 100, .scored = 20})
        .state_copy;
  };
  CHECK(copy(DeviceKind::cpu) == Approx(6. * static_cast<double>(trained_count(small()))).epsilon(1e-3));
  CHECK(copy(DeviceKind::gpu) == 0);
}

TEST_CASE("the longest micro-batch is exact for short runs and bounds long ones") {
  Workload short_run{.lengths = {{10, 20, 30}, {5, 6, 7}, {8, 9, 10}},
                     .batches = {.global_batch_pairs = 2, .micro_batch_tokens = 50},
                     .steps = 2};
  short_run.batches.answers = Answers::chosen;
  int64_t longest = 0;
  for (int64_t step = 0; step < short_run.steps; ++step)
    for (auto const& rank : short_run.step_shapes(step, 1))
      for (PairWork const& batch : rank) longest = std::max(longest, batch.tokens);
  CHECK(short_run.longest(1).tokens == longest);
  Workload const long_run = workload(34668);
  for (int const data : {1, 8}) {
    PairWork const most = long_run.longest(data);
    CHECK(most.tokens == 8192);
    for (auto const& rank : long_run.step_shapes(777, data))
      for (PairWork const& batch : rank) CHECK(batch.tokens <= most.tokens);
  }
}
