#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/study/disk.hpp>
#include <refrain/study/launcher.hpp>
#include <refrain/study/slurm.hpp>

using namespace refrain;
using namespace refrain::study;
using namespace refrain::testing;

namespace {

Environment const member{{"SLURM_JOB_ID", "17"},
                         {"SLURM_ARRAY_JOB_ID", "16"},
                         {"SLURM_ARRAY_TASK_ID", "3"},
                         {"SLURM_TASKS_PER_NODE", "4(x2)"},
                         {"SLURM_JOB_CPUS_PER_NODE", "32,17"}};

std::string refusal(std::vector<int> tasks_per_node, int cpus_per_task, int tensor_parallel) {
  Allocation allocation{.job = "17", .array_job = "16", .array_index = 3};
  allocation.nodes = static_cast<int>(tasks_per_node.size());
  allocation.tasks = 0;
  for (int const count : tasks_per_node) allocation.tasks += count;
  allocation.tasks_per_node = std::move(tasks_per_node);
  allocation.cpus_per_task = cpus_per_task;
  return message_of([&] { check_allocation(allocation, tensor_parallel, "slurm/a.sh"); });
}

/// As Slurm 22.05 prints the record of an array's last member: its sisters follow.
char const* const record_text = "JobId=16 ArrayJobId=16 ArrayTaskId=3 ArrayTaskThrottle=2 JobName=dpo_8b_balanced\n"
                                "   UserId=a(1) GroupId=a(1) MCS_label=N/A\n"
                                "   Priority=4294901759 Nice=0 Account=safety QOS=(null)\n"
                                "   JobState=COMPLETING Reason=TimeLimit Dependency=(null)\n"
                                "   Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0\n"
                                "   RunTime=00:00:06 TimeLimit=02:00:00 TimeMin=N/A\n"
                                "   Partition=debug AllocNode:Sid=login:3606\n"
                                "   NumNodes=2 NumCPUs=8 NumTasks=8 CPUs/Task=2 ReqB:S:C:T=0:0:*:*\n"
                                "   MinCPUsNode=4 MinMemoryNode=1000M MinTmpDiskNode=0\n"
                                "   OverSubscribe=NO Contiguous=0 Licenses=(null) Network=(null)\n"
                                "   Command=/home/a b/refrain/slurm/dpo_8b_balanced.sh\n"
                                "   WorkDir=/home/a b\n"
                                "   StdErr=/home/a b/x-16_3.log\n"
                                "   StdOut=/home/a b/x-16_3.log\n"
                                "   TresPerNode=gres:gpu:4\n"
                                "\n"
                                "JobId=17 ArrayJobId=16 ArrayTaskId=2 JobName=sister\n"
                                "   JobState=RUNNING Reason=None Dependency=(null)\n";

}  // namespace

TEST_CASE("counts are read as Slurm writes them") {
  CHECK(expand_counts("4") == std::vector<int>{4});
  CHECK(expand_counts("4(x2),3") == std::vector<int>{4, 4, 3});
  CHECK(expand_counts("").empty());
  CHECK_THROWS_AS(expand_counts("x"), Error);
}

TEST_CASE("an allocation is read from the environment") {
  CHECK_FALSE(read_allocation({}));
  auto const allocation = read_allocation(member);
  REQUIRE(allocation);
  CHECK(allocation->id() == "16_3");  // the parent's id would requeue all members
  CHECK(allocation->nodes == 2);
  CHECK(allocation->tasks == 8);
  CHECK(allocation->cpus_per_task == 4);  // of the tightest node
  CHECK(read_allocation({{"SLURM_JOB_ID", "5"}})->id() == "5");
}

TEST_CASE("srun always gets tasks and CPUs a task") {
  CHECK(join_words(srun_line("pmix", *read_allocation(member))) ==
        "srun --mpi=pmix --kill-on-bad-exit=1 --export=ALL --nodes=2 --ntasks=8 --ntasks-per-node=4 --cpus-per-task=4");
}

TEST_CASE("MPI types are those that srun lists") {
  CHECK(mpi_types("MPI plugin types are...\n\tpmix\n\tnone\n\tcray_shasta\n\tpmi2\nspecific pmix plugin versions "
                  "available: pmix_v4\n") == Words{"pmix", "pmi2"});
  CHECK(mpi_types("MPI plugin types are...\n\tnone\n\tpmi2\n\tpspmix\n") == Words{"pspmix", "pmi2"});
  CHECK(mpi_types("MPI plugin types are...\n\tnone\nspecific pmix plugin versions available: pmix\n").empty());
}

TEST_CASE("an allocation that does not suit is answered with the sbatch line that would") {
  CHECK(refusal({4, 4}, 1, 4) == "nothing was thrown");
  CHECK(refusal({4, 4}, 1, 8) == "nothing was thrown");  // over two nodes: slow, but asked for
  CHECK(refusal({3, 3}, 1, 4) == "job 16_3 has 6 tasks, which do not divide into groups of 4 (tensor parallel) (sbatch "
                                 "--array=3 --nodes=2 --ntasks-per-node=4 "
                                 "slurm/a.sh)");
  CHECK(
      refusal({6, 5}, 1, 4) ==
      "job 16_3 has 5 tasks on one node and 6 on another (sbatch --array=3 --nodes=2 --ntasks-per-node=4 slurm/a.sh)");
  CHECK(refusal({4}, 0, 4) == "job 16_3 has fewer CPUs than its 4 tasks on a node (sbatch --array=3 --nodes=1 "
                              "--ntasks-per-node=4 --cpus-per-task=1 slurm/a.sh, "
                              "or SBATCH_EXCLUSIVE=exclusive in env/site.sh)");
}

TEST_CASE("the record of a job is its own, not its sisters'") {
  JobRecord const record(record_text);
  CHECK(record.get("Command") == "/home/a b/refrain/slurm/dpo_8b_balanced.sh");
  CHECK(record.get("JobState") == "COMPLETING");
  CHECK(record.get("QOS").empty());
  CHECK(record.get("TimeLimit") == "02:00:00");
  CHECK(record.get("JobName") == "dpo_8b_balanced");
  CHECK(record.get("Nothing").empty());
  CHECK(array_throttle(record_text) == 2);
  CHECK(array_throttle("JobId=1") == 0);
}

TEST_CASE("a job that its user cancelled stays cancelled") {
  CHECK_FALSE(was_cancelled(JobRecord(record_text)));
  CHECK_FALSE(was_cancelled(JobRecord("JobId=1\n   JobState=RUNNING Reason=None\n")));
  CHECK_FALSE(was_cancelled(JobRecord("")));
  CHECK(was_cancelled(JobRecord("JobId=1\n   JobState=COMPLETING Reason=None\n")));
  CHECK(was_cancelled(JobRecord("JobId=1\n   JobState=CANCELLED Reason=None\n")));
}

TEST_CASE("an index is submitted again as it was submitted") {
  CHECK(join_words(resubmission(*read_allocation(member), JobRecord(record_text), "slurm/a.sh")) ==
        "sbatch --parsable --dependency=afterany:16_3 --array=3 --nodes=2 --ntasks-per-node=4 "
        "--job-name=dpo_8b_balanced --time=02:00:00 "
        "--partition=debug --account=safety '--output=/home/a b/x-16_3.log' --gres=gpu:4 --mem=1000M "
        "--cpus-per-task=2 --exclusive "
        "'/home/a b/refrain/slurm/dpo_8b_balanced.sh'");
  CHECK(resubmission(*read_allocation({{"SLURM_JOB_ID", "5"}}), JobRecord(""), "slurm/a.sh").back() == "slurm/a.sh");
}
