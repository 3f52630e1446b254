#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/study/waves.hpp>

#include <stdlib.h>

using namespace refrain;
using namespace refrain::study;
using namespace refrain::testing;

namespace {

/// A job of a graph whose parts are made or not.
StudyJob job(std::string const& name, std::vector<std::string> needs, std::vector<bool> made,
             Stage stage = Stage::generate) {
  StudyJob result{.name = name, .stage = stage, .needs = std::move(needs), .parts = {}, .call = {}};
  result.call.job_name = "trial." + name;
  for (bool const there : made)
    result.parts.push_back(
        {.index = static_cast<int64_t>(result.parts.size()), .work = "work", .made = [there] { return there; }});
  return result;
}

QueuedJob queued(std::string const& id, int64_t index, std::string const& name) {
  return {.id = id + "_" + std::to_string(index), .array_job = id, .index = index, .state = "PENDING", .name = name};
}

std::vector<JobStanding> look_in(std::vector<StudyJob> const& graph, StudyState const& state, Queue queue) {
  return look(graph, state, queue);
}

using Turns = std::vector<std::pair<std::size_t, std::vector<std::size_t>>>;

Turns turns_of(Wave const& wave) {
  Turns turns;
  for (auto const& turn : wave.turns) turns.push_back({turn.job, turn.parts});
  return turns;
}

}  // namespace

TEST_CASE("a part is made, under way by the job's name, or left") {
  TemporaryFolder const folder;
  StudyState state(folder.path);
  std::vector<StudyJob> const graph{job("a", {}, {true, false, false, false})};
  state.add("a", {.job = "7", .indices = {1, 2}});
  auto const standing =
      look_in(graph, state, {queued("7", 1, "trial.a"), queued("7", 2, "another.a"), queued("9", 3, "trial.a")})
          .front();  // job 7 is also another study's, of another cluster or before it was set up anew
  CHECK(standing.left == std::vector<std::size_t>{2});
  CHECK(standing.under_way == 2);
  CHECK(standing.jobs == Words{"7_1", "9"});  // afterok of all of 7 can never hold
  REQUIRE(standing.failures.size() == 1);
  CHECK(standing.failures.front().submission.job == "7");
  CHECK_FALSE(standing.failures.front().began);  // it has no log
}

TEST_CASE("a member whose folder is locked is under way, by a job if the queue has it") {
  TemporaryFolder const folder;
  StudyState const none(folder.path);
  std::vector<StudyJob> graph{job("train", {}, {false, false, false}, Stage::train),
                              job("answers", {"train"}, {false})};
  std::vector<FolderLock> locks;
  for (std::size_t i = 0; i < 3; ++i) graph[0].parts[i].work = folder.path / std::to_string(i);
  for (std::size_t i = 0; i < 2; ++i) {
    make_folders(graph[0].parts[i].work);
    if (i == 1) ::setenv("SLURM_JOB_ID", "77", 1);
    locks.push_back(FolderLock::acquire(graph[0].parts[i].work / "lock"));
    ::unsetenv("SLURM_JOB_ID");
  }
  auto by_hand = queued("70", 5, "mine");
  by_hand.number = "77";

  auto standings = look_in(graph, none, {by_hand});
  CHECK(standings[0].jobs == Words{"70_5"});
  CHECK(standings[0].left == std::vector<std::size_t>{2});
  REQUIRE(standings[0].elsewhere.size() == 1);
  CHECK(standings[0].elsewhere.front().part == 0);
  CHECK_THAT(standings[0].elsewhere.front().holder, Catch::StartsWith("process "));
  // Nothing can wait for who is no job.
  auto wave = plan_wave(graph, standings, {});
  CHECK(turns_of(wave) == Turns{{0, {2}}});
  CHECK_FALSE(wave.more);

  locks.erase(locks.begin());
  standings = look_in(graph, none, {by_hand});
  CHECK(turns_of(plan_wave(graph, standings, {})) == Turns{{0, {0, 2}}, {1, {0}}});
}

TEST_CASE("what was submitted is read again") {
  TemporaryFolder const folder;
  StudyState(folder.path).add("8b/train/de", {.job = "7", .indices = {0, 1}, .waited = true, .at_once = 1});
  StudyState state(folder.path);
  state.add("8b/train/de", {.job = "8", .indices = {1}});
  StudyState const again(folder.path);
  auto const& both = again.of("8b/train/de");
  REQUIRE(both.size() == 2);
  CHECK(
      (both[0].job == "7" && both[0].indices == std::vector<int64_t>{0, 1} && both[0].waited && both[0].at_once == 1));
  CHECK((both[1].job == "8" && !both[1].waited && !both[1].time.empty()));
  CHECK(again.of("8b/train/fr").empty());
}

TEST_CASE("verdicts and what follows count only if all that they are made of is made") {
  StudyState const none(TemporaryFolder().path);
  std::vector<StudyJob> const graph{job("answers", {}, {false}), job("judge", {"answers"}, {true}, Stage::judge),
                                    job("other answers", {"answers"}, {true})};
  auto const standings = look_in(graph, none, {});
  CHECK(standings[1].left.size() == 1);
  CHECK(standings[2].done());
}

TEST_CASE("a wave takes what has room, whole jobs before those that need them") {
  StudyState const none(TemporaryFolder().path);
  std::vector<StudyJob> const graph{job("a", {}, {false, false}), job("b", {"a"}, {false, false}),
                                    job("c", {"b"}, {false}), job("d", {}, {false})};
  auto const standings = look_in(graph, none, {});
  auto const all = plan_wave(graph, standings, {});
  CHECK(turns_of(all) == Turns{{0, {0, 1}}, {1, {0, 1}}, {2, {0}}, {3, {0}}});
  CHECK_FALSE(all.more);
  CHECK_FALSE(plan_wave(graph, standings, {.jobs = 6}).more);  // exactly: no place is kept for another wave

  // Four places, one of them for the job of the next wave: b in part, and so nothing of c.
  auto const wave = plan_wave(graph, standings, {.jobs = 4});
  CHECK(turns_of(wave) == Turns{{0, {0, 1}}, {1, {0}}});
  CHECK((wave.more && wave.place_for_next));

  auto const one = plan_wave(graph, standings, {.jobs = 1});
  CHECK(turns_of(one) == Turns{{0, {0}}});
  CHECK((one.more && !one.place_for_next));
  CHECK(plan_wave(graph, standings, {.jobs = 0}).turns.empty());
}

TEST_CASE("training members share what may be written") {
  StudyState const none(TemporaryFolder().path);
  std::vector<StudyJob> graph{job("a", {}, {false, false}), job("b", {}, {false, false}), job("c", {}, {false})};
  for (auto& each : graph) each.bytes = 10;
  auto const standings = look_in(graph, none, {});
  auto const wave = plan_wave(graph, standings, {.jobs = {}, .bytes = 35});
  CHECK(turns_of(wave) == Turns{{0, {0, 1}}, {1, {0, 1}}});
  CHECK((wave.turns[0].at_once == 0 && wave.turns[1].at_once == 1));
  CHECK(wave.more);

  // What runs counts as its own throttle lets it.
  TemporaryFolder const folder;
  StudyState state(folder.path);
  state.add("a", {.job = "7", .indices = {0, 1}, .at_once = 1});
  auto const later = look_in(graph, state, {queued("7", 0, "trial.a"), queued("7", 1, "trial.a")});
  CHECK(later[0].bytes == 10);
  CHECK(plan_wave(graph, later, {.jobs = {}, .bytes = 35}).turns[0].at_once == 0);
}

TEST_CASE("what failed holds up what needs it, and nothing else") {
  TemporaryFolder const folder;
  StudyState state(folder.path);
  std::vector<StudyJob> graph{job("a", {}, {false}), job("b", {"a"}, {false}), job("c", {}, {false})};
  for (auto& each : graph) each.call.folder = folder.path;
  state.add("a", {.job = "7", .indices = {0}});
  folder.write("trial.a-7_0.log", "its last words");
  auto const standings = look_in(graph, state, {});
  REQUIRE(standings[0].failures.size() == 1);
  CHECK(standings[0].failures.front().began);
  auto const wave = plan_wave(graph, standings, {.jobs = {}, .bytes = {}, .failed_stay = true});
  CHECK(turns_of(wave) == Turns{{2, {0}}});
  CHECK_FALSE(wave.more);  // a person has to look first
  CHECK(turns_of(plan_wave(graph, standings, {})) == Turns{{0, {0}}, {1, {0}}, {2, {0}}});
}

TEST_CASE("a job that Slurm cancelled for another's sake is submitted again by a wave, one that a person did is not") {
  TemporaryFolder const folder;
  std::vector<StudyJob> const graph{job("a", {}, {true}), job("b", {"a"}, {false})};
  for (bool const waited : {true, false}) {
    StudyState state(folder.path / (waited ? "waited" : "first"));
    std::filesystem::create_directories(folder.path / (waited ? "waited" : "first"));
    state.add("b", {.job = "8", .indices = {0}, .waited = waited});
    CHECK(plan_wave(graph, look_in(graph, state, {}), {.jobs = {}, .bytes = {}, .failed_stay = true}).turns.size() ==
          (waited ? 1 : 0));
  }
}

TEST_CASE("a call waits for all jobs of what it needs") {
  StudyState const none(TemporaryFolder().path);
  std::vector<StudyJob> const graph{job("a", {}, {false, false}), job("b", {}, {true}),
                                    job("c", {"a", "b"}, {false, false, false})};
  auto standings = look_in(graph, none, {queued("7", 0, "trial.a"), queued("8", 1, "trial.a")});
  auto call = make_call(graph, standings, {.job = 2, .parts = {0, 2}, .at_once = 1});
  CHECK(call.dependencies == Words{"afterok:7:8"});
  CHECK(call.array == "0,2%1");
  standings = look_in(graph, none, {});
  CHECK(make_call(graph, standings, {.job = 2, .parts = {0, 1, 2}}).dependencies == Words{"afterok:a"});
}
