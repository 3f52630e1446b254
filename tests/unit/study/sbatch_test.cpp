#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/study/job_limits.hpp>
#include <refrain/study/sbatch.hpp>

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
  auto const jobs = read_queue("16 0 RUNNING dpo_8b_balanced\n16 1 PENDING dpo_8b_balanced\n17 N/A PENDING a report\n");
  REQUIRE(jobs.size() == 3);
  CHECK(jobs[1].id == "16_1");
  CHECK(jobs[1].index == 1);
  CHECK(jobs[1].state == "PENDING");
  CHECK(jobs[2].id == "17");
  CHECK(jobs[2].array_job == "17");
  CHECK_FALSE(jobs[2].index);
  CHECK(jobs[2].name == "a report");
  CHECK(read_queue("").empty());
}
