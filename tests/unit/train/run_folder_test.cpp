#include "fixtures.hpp"

#include <refrain/base/run_starts.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/train/run_folder.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::testing;

namespace {

/// A start of a run in `path` that comes from step `first` to step `last`, and then says no more.
void start(std::filesystem::path const& path, int64_t first, int64_t last) {
  train::RunFolder folder(path);
  folder.record_start({{"seed", 1}}, {{"beta", 0.1}}, Json::object(), first, {{"memory", 2}});
  folder.write_status("running", {.step = last, .steps = 100});
}

}  // namespace

TEST_CASE("a start records how far the run had come before it") {
  TemporaryFolder const folder;
  start(folder.path / "run", 0, 60);
  start(folder.path / "run", 40, 70);
  auto const record = read_sealed_json(folder.path / "run/run.json");
  auto const& starts = record.at("starts");
  REQUIRE(starts.size() == 2);
  CHECK_FALSE(starts[0].contains("before"));
  CHECK(starts[1].at("before").at("state") == "running");
  CHECK(starts[1].at("before").at("step") == 60);
  CHECK(starts[1].at("memory") == 2);
  auto const read = read_starts(record, {}, read_sealed_json(folder.path / "run/status.json"));
  CHECK(steps_done_again(read) == 20);
}
