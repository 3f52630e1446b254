#include <refrain/study/failure.hpp>

#include <catch2/catch.hpp>

using namespace refrain::study;

namespace {

Failure explained(int code, std::string const& said) { return explain(code, "refrain-train", said); }

}  // namespace

TEST_CASE("a rank that a signal killed is lost, whatever the ranks say that miss it") {
  auto const failure = explained(137, "srun: error: n2: task 3: Killed\n"
                                      "srun: launch/slurm: _step_signal: Terminating StepId=5.1\n"
                                      "refrain-train: rank 0: MPI_Allreduce failed: MPI_ERR_OTHER (look for a rank "
                                      "that ended, or a network that fails, in the logs of the nodes)\n"
                                      "srun: error: n1: tasks 0-1: Killed\n");
  CHECK(failure.lost);
  CHECK(failure.node == "n2");
  CHECK(failure.cause == "n2: task 3: Killed");
}

TEST_CASE("mpirun's words for a killed rank are understood") {
  auto const failure = explained(137, "----\nmpirun noticed that process rank 3 with PID 0 on node n2 exited on signal "
                                      "9 (Killed).\n----\n");
  CHECK(failure.lost);
  CHECK(failure.cause == "n2: rank 3: signal 9 (Killed)");
}

TEST_CASE("a rank that says why it ends has failed, and its node is named") {
  auto const failure =
      explained(1, "refrain-train: rank 3: cannot write the file: No space left on device [/runs/a/x.h5]\n"
                   "srun: error: n2: task 3: Exited with exit code 1\nsrun: error: n1: tasks 0-1: Killed\n");
  CHECK_FALSE(failure.lost);
  CHECK(failure.node == "n2");
  CHECK(failure.cause == "n2: rank 3: cannot write the file: No space left on device [/runs/a/x.h5]");
}

TEST_CASE("too little memory would come again") {
  auto const failure = explained(137, "srun: error: n1: task 0: Out Of Memory\n");
  CHECK_FALSE(failure.lost);
  CHECK(failure.cause == "n1: task 0: Out Of Memory");
}

TEST_CASE("ranks that end because one stopped answering are lost") {
  std::string const watch = "rank 2: stopped answering in: step 4 (host n2, process 31); all ranks end now";
  auto const failure = explained(1, "refrain-train: " + watch + "\nsrun: error: n1: task 0: Exited with exit code 1\n");
  CHECK(failure.lost);
  CHECK(failure.node == "n2");
  CHECK(failure.cause == watch);
}

TEST_CASE("of a rank that went and those that miss it whoever is heard first knows") {
  std::string const watch = "refrain-train: rank 2: stopped answering in: step 4 (host n2, process 31)\n";
  CHECK(explained(1, watch + "srun: error: n1: task 0: Killed\n").node == "n2");
  CHECK(explained(137, "srun: error: n3: task 5: Killed\n" + watch).cause == "n3: task 5: Killed");
}

TEST_CASE("a node that Slurm has lost is named") {
  auto const failure = explained(1, "srun: error: Node failure on n2\nsrun: error: n1: tasks 0-1: Killed\n");
  CHECK(failure.lost);
  CHECK(failure.cause == "n2: the node was lost");
}

TEST_CASE("a step that Slurm cannot launch is lost") {
  auto const failure = explained(1, "srun: Job step aborted: Waiting up to 12 seconds for job step to finish.\n"
                                    "srun: error: task 0 launch failed: Unspecified error\n"
                                    "srun: error: n3: tasks 2-3: Killed\n");
  CHECK(failure.lost);
  CHECK(failure.node.empty());
  CHECK(failure.cause == "task 0 launch failed: Unspecified error");
}

TEST_CASE("a launcher that was killed is lost, one that ends by itself without a word has failed") {
  CHECK(explained(137, "").lost);
  CHECK_FALSE(explained(1, "").lost);
  CHECK(explained(1, "").cause.empty());
}

TEST_CASE("long lines do no harm") {
  CHECK(explained(137, "srun: error: n2: task 3: Killed\n" + std::string(1 << 17, 'x')).cause == "n2: task 3: Killed");
}
