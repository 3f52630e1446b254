#include "fixtures.hpp"

#include <refrain/base/provenance.hpp>
#include <refrain/study/starts.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::study;
using namespace refrain::testing;

namespace {

Json step(int64_t number) { return {{"step", number}}; }

std::string line(std::string const& ending, int64_t step) {
  return "{\"ending\": \"" + ending + "\", \"step\": " + std::to_string(step) + "}\n";
}

}  // namespace

TEST_CASE("restarts that were told to stop and such that were lost count alike") {
  TemporaryFolder const folder;
  Starts const starts(folder.path / "run");
  CHECK_FALSE(starts.stands_still(step(0)));
  folder.write("run.starts.jsonl", line("stopped", 4) + line("lost", 4) + line("stopped", 4));
  CHECK(starts.stands_still(step(4)));
  CHECK_FALSE(starts.stands_still(step(5)));
  // Before the restarts the run was further.
  folder.write("run.starts.jsonl", line("stopped", 9) + line("lost", 4) + line("stopped", 5));
  CHECK(starts.stands_still(step(6)));
  CHECK_FALSE(starts.stands_still(step(10)));
  folder.write("run.starts.jsonl", line("lost", 4) + line("lost", 4));
  CHECK_FALSE(starts.stands_still(step(4)));
}

TEST_CASE("after a start that failed or finished the count begins anew") {
  TemporaryFolder const folder;
  Starts const starts(folder.path / "run");
  for (std::string const ending : {"failed", "finished"}) {
    folder.write("run.starts.jsonl", line("lost", 4) + line(ending, 4) + line("lost", 4) + line("lost", 4));
    CHECK_FALSE(starts.stands_still(step(4)));
  }
}

TEST_CASE("records of starts without reference batches are understood") {
  TemporaryFolder const folder;
  Starts const starts(folder.path / "run");
  folder.write("run.starts.jsonl", line("stopped", 4) + line("stopped", 4) + line("stopped", 4));
  CHECK(starts.stands_still({{"step", 4}, {"reference_batches", 0}}));
  CHECK_FALSE(starts.stands_still({{"step", 4}, {"reference_batches", 1}}));
}

TEST_CASE("a start that was killed with its study is known to the next of the same job") {
  TemporaryFolder const folder;
  Starts const starts(folder.path / "run");
  CHECK(starts.killed_on("7").empty());
  starts.begin("7", "srun refrain-train");
  CHECK(starts.killed_on("7") == host_name());
  CHECK(starts.killed_on("8").empty());  // submitted by hand: perhaps the other one is still at work
  CHECK(starts.killed_on("").empty());
  starts.record_killed(Ending::lost, step(3));
  CHECK(starts.killed_on("7").empty());
  auto const lost = read_json(folder.path / "run.starts.jsonl");
  CHECK(lost.at("ending") == "lost");
  CHECK(lost.at("command") == "srun refrain-train");
  CHECK(lost.at("step") == 3);

  starts.begin("7", "srun refrain-train");
  starts.record("7", "srun refrain-train", 0, Ending::finished, step(9));
  CHECK(starts.killed_on("7").empty());
}

TEST_CASE("a line that was cut off as its writer was killed is none, and the next one takes its place") {
  TemporaryFolder const folder;
  Starts const starts(folder.path / "run");
  folder.write("run.starts.jsonl", line("lost", 4) + line("lost", 4) + R"({"ending": "lo)");
  CHECK_FALSE(starts.stands_still(step(4)));
  starts.begin("7", "srun refrain-train");
  starts.record_killed(Ending::lost, step(4));
  CHECK(starts.stands_still(step(4)));
}
