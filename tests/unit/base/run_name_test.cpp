#include <refrain/base/run_name.hpp>

#include <catch2/catch.hpp>

using namespace refrain;

TEST_CASE("runs are named by their folders, members of sweeps by their study's too, checkpoints by their runs") {
  for (char const* folder : {"8b_balanced", "runs/8b_balanced/", "/8b_balanced"}) {
    CHECK(run_name(folder) == "8b_balanced");
    CHECK(run_of_checkpoint(folder) == "8b_balanced");
  }
  CHECK(run_name("runs/dpo_8b_de/beta=0.1,seed=1") == "dpo_8b_de/beta=0.1,seed=1");
  CHECK(run_name("beta=0.1,seed=1") == "beta=0.1,seed=1");
  CHECK(run_name("runs/final") == "final");
  CHECK(run_name("/").empty());
  CHECK(run_of_checkpoint("/scratch/runs/8b_balanced/final") == "8b_balanced");
  CHECK(run_of_checkpoint("runs/a/checkpoints/step-00000012") == "a");
  CHECK(run_of_checkpoint("runs/a/checkpoints/latest/") == "a");
  CHECK(run_of_checkpoint("runs/dpo_8b_de/beta=0.1,seed=1/final") == "dpo_8b_de/beta=0.1,seed=1");
}
