#include <refrain/base/run_starts.hpp>

#include <catch2/catch.hpp>

using namespace refrain;

namespace {

/// As run.json has it, on two nodes.
Json start(std::string const& time, int64_t first_step, Json const& before = nullptr) {
  Json start{
      {"time", time},
      {"first_step", first_step},
      {"provenance",
       {{"layout", {{"tensor_parallel", 4}, {"data_parallel", 2}}}, {"slurm", {{"SLURM_JOB_NODELIST", "n[1-2]"}}}}}};
  if (!before.is_null()) start["before"] = before;
  return start;
}

Json ending(std::string const& time, std::string const& how, int64_t step) {
  return {{"time", time}, {"ending", how}, {"step", step}};
}

}  // namespace

TEST_CASE("hosts are counted as Slurm lists them") {
  CHECK(count_hosts("n1") == 1);
  CHECK(count_hosts("n[1-3,07],m5") == 5);
  CHECK(count_hosts("r[1-2]n[1-4],login") == 9);
  CHECK(count_hosts("nid[005012-005015]") == 4);
  CHECK(count_hosts("") == 1);
}

TEST_CASE("times are UTC to the second") {
  CHECK(seconds_of_time("1970-01-02T00:00:01Z") == 86401.0);
  CHECK_FALSE(seconds_of_time("1970-01-02"));
  CHECK_FALSE(seconds_of_time("1970-01-02T00:00:01Z, later"));
}

TEST_CASE("every start ends as somebody recorded it") {
  // Stopped in time; lost with its node, which the next one found at step 9; failed; running now.
  Json const record{
      {"starts",
       {start("2026-01-31T10:00:00Z", 0), start("2026-01-31T11:00:00Z", 4),
        start("2026-01-31T20:00:00Z", 6, {{"state", "running"}, {"step", 9}, {"updated", "2026-01-31T13:00:00Z"}}),
        start("2026-01-31T22:00:00Z", 12)}}};
  std::vector<Json> const endings{
      ending("2026-01-31T10:30:00Z", "stopped", 4),
      {{"time", "2026-01-31T19:59:00Z"}, {"ending", "lost"}, {"exit", nullptr}, {"step", 9}},
      ending("2026-01-31T21:00:00Z", "failed", 13)};
  Json const status{{"state", "running"}, {"step", 15}, {"updated", "2026-01-31T22:10:00Z"}};
  auto const starts = read_starts(record, endings, status);
  REQUIRE(starts.size() == 4);
  std::vector<std::string> how;
  std::vector<double> minutes;
  for (auto const& each : starts) {
    how.push_back(each.ending);
    minutes.push_back((each.end.value() - each.begin) / 60);
    CHECK(each.nodes == 2);
    CHECK(each.ranks == 8);
  }
  CHECK(how == std::vector<std::string>{"stopped", "lost", "failed", "running"});
  CHECK(minutes == std::vector<double>{30, 120, 60, 10});
  CHECK(steps_done_again(starts) == (9 - 6) + (13 - 12));
}

TEST_CASE("a start that nobody saw end costs no steps that are not known") {
  Json const record{{"starts", {start("2026-01-31T10:00:00Z", 0), start("2026-01-31T11:00:00Z", 4)}}};
  auto const starts = read_starts(record, {}, Json::object());
  REQUIRE(starts.size() == 2);
  CHECK(starts[0].ending == "lost");
  CHECK_FALSE(starts[0].end);
  CHECK(steps_done_again(starts) == 0);
  CHECK(read_starts(Json::object(), {}, Json::object()).empty());
  CHECK(read_starts({{"starts", "none"}}, {}, Json::object()).empty());
}
