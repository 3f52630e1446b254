#include "fixtures.hpp"

#include <refrain/study/run_metrics.hpp>
#include <refrain/study/status.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <sstream>

using namespace refrain;
using namespace refrain::study;
using namespace refrain::testing;

namespace {

constexpr double old = 600;  // seconds without a heartbeat

std::optional<LockSight> lock(Life life, double age) { return LockSight{.holder = "x", .life = life, .age = age}; }

/// The longest line in letters.
std::size_t width_of(std::string const& text) {
  std::istringstream lines(text);
  std::size_t widest = 0;
  for (std::string line; std::getline(lines, line);)
    widest = std::max(widest, static_cast<std::size_t>(
                                  std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; })));
  return widest;
}

}  // namespace

TEST_CASE("where a run stands follows from its files, its lock and the queue") {
  CHECK(state_of("running", "", lock(Life::alive, 0), "") == RunState::running);
  CHECK(state_of("running", "", lock(Life::unknown, 3), "") == RunState::running);
  CHECK(state_of("running", "", lock(Life::unknown, old), "") == RunState::lost);
  CHECK(state_of("running", "", lock(Life::dead, 1), "") == RunState::lost);
  CHECK(state_of("running", "", {}, "") == RunState::lost);
  CHECK(state_of("running", "", lock(Life::unknown, old), "RUNNING") == RunState::running);
  CHECK(state_of("running", "", lock(Life::dead, old), "RUNNING") == RunState::lost);
  CHECK(state_of("running", "", lock(Life::unknown, old), "PENDING") == RunState::waiting);
  CHECK(state_of("stopped", "stopped", {}, "PENDING") == RunState::waiting);
  CHECK(state_of("stopped", "stopped", {}, "") == RunState::stopped);
  CHECK(state_of("failed", "failed", {}, "RUNNING") == RunState::failed);
  CHECK(state_of("failed", "failed", lock(Life::alive, 0), "") == RunState::running);
  CHECK(state_of("finished", "finished", lock(Life::unknown, 1), "RUNNING") == RunState::finished);
  CHECK(state_of("", "failed", {}, "") == RunState::failed);
  // Submitted again since.
  CHECK(state_of("stopped", "stopped", {}, "", "PENDING") == RunState::waiting);
  CHECK(state_of("running", "", lock(Life::dead, old), "", "PENDING") == RunState::waiting);
  CHECK(state_of("failed", "failed", lock(Life::dead, old), "", "RUNNING") == RunState::running);
  CHECK(state_of("failed", "failed", lock(Life::alive, 0), "", "PENDING") == RunState::running);
  CHECK(state_of("finished", "finished", {}, "", "PENDING") == RunState::finished);
  CHECK(state_of("", "", {}, "") == RunState::waiting);
}

TEST_CASE("the queue knows a job by both of its numbers") {
  auto const queue = read_queue(
      "16 3 PENDING 19 dpo_8b_de\n16 4 PENDING 20 dpo_8b_de\n17 N/A RUNNING 17 judge\nslurm says hello to you\n");
  CHECK(state_in(queue, "16_3") == "PENDING");
  CHECK(state_in(queue, "19") == "PENDING");
  CHECK(state_in(queue, "17") == "RUNNING");
  CHECK(state_in(queue, "16").empty());
  CHECK(queue_text(queue) == "dpo_8b_de: 2 PENDING; judge: 1 RUNNING");
  CHECK(queue_text({}).empty());
}

TEST_CASE("of metrics that are being written whole lines count") {
  TemporaryFolder const folder;
  std::string text;
  for (int step = 1; step <= 100; ++step)
    text += "{\"step\": " + std::to_string(step) + ", \"loss\": 0.5}\n{\"step\": 1, \"eval_loss\": 0.4}\n";
  auto const file = folder.write("metrics.jsonl", text + "{\"step\": 101, \"lo");
  CHECK(last_metrics(file, 1 << 20).size() == 100);
  auto const last = last_metrics(file, 200);
  REQUIRE(last.size() >= 2);
  CHECK(last.size() < 5);
  CHECK(last.back().at("step") == 100);
  CHECK(last_metrics(file, 10).empty());
  CHECK(last_metrics(folder.path / "none.jsonl", 200).empty());
  CHECK(last_metrics(folder.write("empty.jsonl", ""), 200).empty());
}

TEST_CASE("a table is no wider than its terminal") {
  RunSummary run{.name = "dpo_8b_balanced/beta=0.1,lr=1e-6,seed=42",
                 .state = RunState::failed,
                 .step = 120,
                 .steps = 1626,
                 .loss = 0.4567,
                 .accuracy = 0.875,
                 .pairs_per_second = 12.5,
                 .restarts = 2,
                 .steps_again = 7,
                 .node_hours = 3.25,
                 .error = "rank 3: loss is not finite — Überlauf [runs/a] (lower the learning rate, and start again)"};
  auto const whole = status_table({run}, 0);
  CHECK(whole.find(run.error) != std::string::npos);
  CHECK(whole.find(run.name + "  failed  120/1626  0.4567     0.875    12.50    -         2      7    3.25        -"
                              "         -  rank 3") != std::string::npos);
  CHECK(whole.find("\n1 run: 1 failed; 3.25 node hours\n") != std::string::npos);
  for (std::size_t width = 40; width < width_of(whole) + 3; ++width) {
    auto const table = status_table({run}, width);
    CAPTURE(width, table);
    CHECK(width_of(table) <= width);
    CHECK(table.find("failed") != std::string::npos);
    CHECK(table.find("120/1626") != std::string::npos);
  }
  CHECK(status_table({run}, 120).find("rank 3: loss is not") != std::string::npos);
  CHECK(status_table({}, 80) == "no runs yet\n");
}
