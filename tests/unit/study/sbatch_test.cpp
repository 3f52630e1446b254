#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/study/job_limits.hpp>
#include <refrain/study/sbatch.hpp>
#include <refrain/study/submissions.hpp>
#include <refrain/study/submit.hpp>

using namespace refrain;
using namespace refrain::study;
using namespace refrain::testing;

TEST_CASE("a call of sbatch says what is set and leaves the rest to the script") {
  CHECK(Sbatch{.script = "slurm/a.sh"}.show() == "sbatch --parsable slurm/a.sh");

  Sbatch const call{.script = "slurm/a.sh",
                    .array = "0,2-5%2",
                    .dependencies = {"afterok:12:13", "afterany:14"},
                    .job_name = "a",
                    .options = {"--nodes=8"},
                    .variables = {{"REFRAIN_SWEEP", "two words"}, {"REFRAIN_RUNS", "/runs"}},
                    .folder = "/logs here"};
  CHECK(call.show() ==
        "REFRAIN_RUNS=/runs REFRAIN_SWEEP='two words' sbatch --parsable --job-name=a --array=0,2-5%2 "
        "--dependency=afterok:12:13,afterany:14 --kill-on-invalid-dep=yes '--chdir=/logs here' --export=ALL --nodes=8 "
        "slurm/a.sh");
}

TEST_CASE("arrays are written as ranges, throttled where fewer may run at once") {
  CHECK(format_array({4}) == "4");
  CHECK(format_array({0, 1, 2}) == "0-2");
  CHECK(format_array({0, 2, 3, 4, 7, 8}) == "0,2-4,7-8");
  CHECK(format_array({0, 2, 3}, 2) == "0,2-3%2");
  CHECK(format_array({0, 1, 2}, 3) == "0-2");
  CHECK(format_array({0}, 0) == "0");
}

TEST_CASE("the job's id is found among what plugins say") {
  CHECK(parse_job_id("17\n") == "17");
  CHECK(parse_job_id("sbatch: lua: 4 nodes at 2 credits\n17;leonardo\n") == "17");
  CHECK(parse_job_id("Submitted batch job 17\n").empty());
  CHECK(parse_job_id("").empty());
}

TEST_CASE("the lowest of a site's limits on jobs holds, unless REFRAIN_MAX_JOBS says otherwise") {
  std::string const config = "Configuration data as of 2026-01-01T00:00:00\n"
                             "MaxArraySize            = 1001\n"
                             "MaxJobCount             = 10000\n";
  auto limits = read_limits(config, "", {});
  CHECK(limits.array_size == 1001);
  CHECK(limits.jobs == 10000);
  CHECK(limits.jobs_from == "MaxJobCount of slurm.conf");

  limits = read_limits(config, "\n500\n210\n", {});  // an association without a limit says nothing
  CHECK(limits.jobs == 210);
  CHECK(limits.jobs_from == "MaxSubmitJobs of the account");

  limits = read_limits(config, "210\n", 300);
  CHECK(limits.jobs == 300);
  CHECK(limits.jobs_from == "REFRAIN_MAX_JOBS");

  limits = read_limits("", "", {});
  CHECK_FALSE(limits.jobs);
  CHECK_FALSE(limits.array_size);
}

TEST_CASE("REFRAIN_MAX_JOBS is a number") {
  CHECK(message_of([] { ask_limits({{"REFRAIN_MAX_JOBS", "many"}}); }) ==
        "REFRAIN_MAX_JOBS is 'many', not a whole number above 0 (set it to the number of jobs that the site lets one "
        "user have, such as 200)");
  CHECK(ask_limits({{"REFRAIN_MAX_JOBS", "7"}}).jobs == 7);
}

TEST_CASE("the queue is read, members of arrays one by one") {
  auto const jobs = read_queue(
      "16 0 RUNNING 16 dpo_8b_balanced|(null)\n16 1 PENDING 18 dpo_8b_balanced|(null)\n"
      "17 N/A PENDING 17 a report|afterok:14_*(unfulfilled),afterok:15(unfulfilled),afterok:16_1(unfulfilled)\n");
  REQUIRE(jobs.size() == 3);
  CHECK(jobs[1].id == "16_1");
  CHECK(jobs[1].index == 1);
  CHECK(jobs[1].state == "PENDING");
  CHECK(jobs[1].number == "18");
  CHECK(jobs[2].id == "17");
  CHECK(jobs[2].array_job == "17");
  CHECK_FALSE(jobs[2].index);
  CHECK(jobs[2].name == "a report");
  CHECK(jobs[2].behind == std::vector<std::string>{"14", "15", "16_1"});
  CHECK(jobs[1].behind.empty());
  CHECK(read_queue("").empty());
}

TEST_CASE("an array fits what the site allows") {
  auto plan = plan_array({0, 1, 2, 5}, 0, {}, {});
  CHECK(plan.indices == std::vector<int64_t>{0, 1, 2, 5});
  CHECK(plan.at_once == 0);
  CHECK(plan.left_out.empty());

  CHECK(plan_array({0, 1, 2, 5}, 0, {}, 4).at_once == 0);
  CHECK(plan_array({0, 1, 2, 5}, 0, {}, 3).at_once == 3);

  JobLimits const limits{.jobs = 10, .jobs_from = "REFRAIN_MAX_JOBS", .array_size = 6};
  plan = plan_array({0, 1, 2, 5}, 7, limits, 3);
  CHECK(plan.indices == std::vector<int64_t>{0, 1, 2});
  CHECK(plan.left_out == std::vector<int64_t>{5});
  CHECK(plan.at_once == 0);
  CHECK(message_of([&] { plan_array({0}, 10, limits, {}); }) ==
        "the site lets one user have 10 jobs (REFRAIN_MAX_JOBS), and there are 10 (submit again when some have ended)");
  CHECK(message_of([&] { plan_array({0, 6}, 0, limits, {}); }) ==
        "member 6 is above what an array takes here (MaxArraySize 6) (split the sweep's table)");
}

TEST_CASE("a member's job is found by the record of submissions, and without one by name and index") {
  TemporaryFolder const folder;
  Submissions submissions(folder.path);
  submissions.add({.job = "16", .sweep = "default", .line = "sbatch", .members = {{0, "a"}, {1, "b"}}});
  auto const queue = read_queue("16 1 RUNNING 18 dpo_8b_en\n20 3 PENDING 20 dpo_8b_en\n21 N/A RUNNING 21 dpo_8b_en\n");
  for (auto const& record : {submissions, Submissions(folder.path)}) {  // as it was added, and as it was read again
    CHECK(record.job_of("dpo_8b_en", 1, "b", queue) == "16_1");
    CHECK(record.job_of("dpo_8b_en", 7, "b", queue) == "16_1");  // the same settings in another table
    CHECK(record.job_of("dpo_8b_en", 1, "of another sweep", queue).empty());
    CHECK(record.job_of("dpo_8b_en", 0, "a", queue).empty());
    CHECK(record.job_of("dpo_8b_en", 3, "c", queue) == "20_3");  // submitted by hand
    CHECK(record.job_of("dpo_8b_de", 3, "c", queue).empty());
    CHECK(record.job_of("dpo_8b_de", 1, "b", queue) == "16_1");  // as part of a study jobs have other names
    REQUIRE(record.recorded("b", queue));
    CHECK(record.recorded("b", queue)->array_job == "16");
    CHECK_FALSE(record.recorded("c", queue));
  }
}
