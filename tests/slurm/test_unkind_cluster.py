"""The same scripts on sites' settings: requeue refused, no default MPI type, memory counted, flock that lies."""

import subprocess

import pytest

from cluster import first_steps, site_on, starts, status, wait_for_step, weights

site = site_on("--nodes", 4, "--cpus", 4, "--gpus", 4, "--unkind")


@pytest.fixture(scope="module")
def lying_flock(tmp_path_factory):
    library = tmp_path_factory.mktemp("flock") / "liblying_flock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library,
                    f"{__file__.rpartition('/')[0]}/lying_flock.c"], check=True)
    return library


def test_the_cluster_is_unkind(site):
    settings = site.cluster.login("scontrol", "show", "config")
    for line in ("JobRequeue              = 0", "MpiDefault              = none",
                 "SelectTypeParameters    = CR_CPU_MEMORY"):
        assert line in settings


def lies(library, answer, folder):
    """Variables of a job whose programs all get lies from flock."""
    return {"LD_PRELOAD": library, "LYING_FLOCK": answer, "LYING_FLOCK_SEEN": folder / f"seen by {answer}"}


def finished(site, script, job):
    """Waits for both members; their logs."""
    for index, learning_rate in ((0, "1e-6"), (1, "5e-7")):
        site.cluster.wait(f"{job}_{index}", "COMPLETED", "FAILED")
        assert status(site.run_dir(script, learning_rate))["state"] == "finished", site.log(script, job, index)
    return site.log(script, job, 0) + site.log(script, job, 1)


def test_the_large_script_runs_unchanged_where_flock_fails(site, lying_flock, tmp_path):
    job = site.submit("dpo_70b_balanced", **lies(lying_flock, "fails", tmp_path))
    assert finished(site, "dpo_70b_balanced", job).count("making pairs.h5") == 1
    seen = (tmp_path / "seen by fails").read_text().split()
    assert seen.count("refrain-train") == 32 and "refrain-shard" in seen and "refrain-study" in seen


def test_members_on_two_hosts_shard_once_where_flock_always_succeeds(site, lying_flock, tmp_path):
    # Memory is counted, so each member has nodes of its own and both start at the same time.
    job = site.submit("dpo_8b_sk", "--ntasks-per-node=2", REFRAIN_TENSOR_PARALLEL=2,
                      **lies(lying_flock, "succeeds", tmp_path))
    assert finished(site, "dpo_8b_sk", job).count("making pairs.h5") == 1
    hosts = [starts(site.run_dir("dpo_8b_sk", learning_rate))[0]["host"] for learning_rate in ("1e-6", "5e-7")]
    assert len(set(hosts)) == 2


def test_a_gpu_partition_as_the_example_of_the_site_file_asks_for_it(site):
    job = site.submit("dpo_8b_lv", "--array=0", "--nodes=2", "--ntasks-per-node=2", REFRAIN_TENSOR_PARALLEL=2,
                      SBATCH_GRES="gpu:4", SBATCH_CPUS_PER_GPU=1, SBATCH_MEM_PER_NODE=0)
    assert site.cluster.wait(f"{job}_0", "COMPLETED", "FAILED")["JobState"] == "COMPLETED", (
        site.log("dpo_8b_lv", job, 0))
    assert "--cpus-per-task=2 " in site.log("dpo_8b_lv", job, 0)

    # A GRES alone comes with one CPU a task or less, which is said before srun refuses it, or suffices.
    job = site.submit("dpo_8b_lt", "--array=0", "--nodes=2", "--ntasks-per-node=2", REFRAIN_TENSOR_PARALLEL=2,
                      SBATCH_GRES="gpu:4")
    assert site.cluster.wait(f"{job}_0", "COMPLETED", "FAILED")["JobState"] == "COMPLETED", (
        site.log("dpo_8b_lt", job, 0))


def test_mpirun_as_the_launcher(site):
    script = "dpo_8b_cs"
    job = site.submit(script, "--array=0", "--nodes=2", "--ntasks-per-node=2", REFRAIN_TENSOR_PARALLEL=2,
                      REFRAIN_LAUNCHER="mpirun", OMPI_ALLOW_RUN_AS_ROOT=1, OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)
    assert site.cluster.wait(f"{job}_0", "COMPLETED", "FAILED")["JobState"] == "COMPLETED", site.log(script, job, 0)
    assert "mpirun -n 4 " in site.log(script, job, 0)


def test_where_requeue_is_refused_the_index_is_submitted_again(site, tmp_path):
    # SBATCH_NO_REQUEUE overrides the script's --requeue, as a site's submit filter would.
    variables = dict(REFRAIN_TENSOR_PARALLEL=2,
                     REFRAIN_TRAIN_ARGS="--max-steps 12 --epochs 12 --global-batch-pairs 16 --checkpoint-every 3")
    options = ("--nodes=2", "--ntasks-per-node=2", "--mem=1000", "--array=0", "--time=60")
    script, run = "dpo_8b_balanced", site.run_dir("dpo_8b_balanced")
    job = site.submit(script, *options, SBATCH_NO_REQUEUE=1, **variables)
    wait_for_step(run, 2)
    site.cluster.login("scancel", "--signal=USR1", "--batch", f"{job}_0")
    site.cluster.wait(f"{job}_0", "FAILED")  # exit code 85, so that nothing which waits for its success starts
    assert site.cluster.record(f"{job}_0")["ExitCode"] == "85:0"
    log = site.log(script, job, 0)
    assert "requeue is refused here; submitted again as job " in log
    again = log.partition("submitted again as job ")[2].split()[0]
    site.cluster.wait(f"{again}_0", "COMPLETED", "FAILED")
    assert [start["ending"] for start in starts(run)] == ["stopped", "finished"], site.log(script, job, 0)
    assert first_steps(run) == [0, starts(run)[0]["step"]]
    record = site.cluster.record(f"{again}_0")
    assert (record["NumNodes"], record["TimeLimit"], record["MinMemoryNode"]) == ("2", "01:00:00", "1000M")
    assert str(site.submit_folder) in site.cluster.login("scontrol", "show", "job", f"{again}_0")

    job = site.submit(script, *options, REFRAIN_RUNS=site.root / "undisturbed", **variables)
    site.cluster.wait(f"{job}_0", "COMPLETED", "FAILED")
    assert weights(run, tmp_path / "a") == weights(site.run_dir(script, runs="undisturbed"), tmp_path / "b")


def test_a_launcher_that_gives_no_world_is_named(site):
    # pmi2 is in Slurm, and Debian's Open MPI cannot start by it: without a working type the job stops, and leaves but the
    # record of a start that failed.
    stub = site.root / "stub"
    stub.mkdir()
    srun = subprocess.check_output(["sh", "-c", "command -v srun"], text=True).strip()
    (stub / "srun").write_text('#!/bin/sh\n'
                               '[ "$1" = --mpi=list ] && { echo "MPI plugin types are... none pmi2"; exit; }\n'
                               f'exec {srun} "$@"\n')
    (stub / "srun").chmod(0o755)
    script = "dpo_8b_pl"
    job = site.submit(script, "--array=0", PATH=f"{stub}:/usr/sbin:/usr/bin:/sbin:/bin")
    assert site.cluster.wait(f"{job}_0", "FAILED", "COMPLETED")["JobState"] == "FAILED"
    assert "no MPI type of srun starts a world of 4 ranks (pmi2: " in site.log(script, job, 0)
    run = site.run_dir(script)
    assert [file.name for file in run.parent.iterdir()] == [f"{run.name}.starts.jsonl"]
    assert [start["ending"] for start in starts(run)] == ["failed"]
    assert "no MPI type of srun starts a world of 4 ranks (pmi2: " in starts(run)[0]["error"]
