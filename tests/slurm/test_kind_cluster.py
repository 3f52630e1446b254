"""The scripts of slurm/ with the real jobs on a Slurm of four nodes, as it is set up by default."""

import csv
import pathlib
import time

import h5py
import refrain

from cluster import LANGUAGES, site_on, status, wait_for_step, wait_until

site = site_on("--nodes", 4, "--cpus", 4)


def test_the_large_script_runs_unchanged_as_an_array_of_two(site):
    job = site.submit("dpo_70b_balanced")
    for index, learning_rate in ((0, "1e-6"), (1, "5e-7")):
        site.cluster.wait(f"{job}_{index}", "COMPLETED", "FAILED")
        log = site.log("dpo_70b_balanced", job, index)
        run = site.run_dir("dpo_70b_balanced", learning_rate)
        assert status(run)["state"] == "finished", log
        assert status(run)["step"] == 4, log  # the site file's options
        assert ("srun --mpi=pmix --kill-on-bad-exit=1 --export=ALL --nodes=4 --ntasks=16 --ntasks-per-node=4 "
                "--cpus-per-task=1 ") in log
        assert f"--tensor-parallel 4 --beta 0.1 --learning-rate {learning_rate} --seed 42" in log
    logs = site.log("dpo_70b_balanced", job, 0) + site.log("dpo_70b_balanced", job, 1)
    assert logs.count("making pairs.h5") == 1


def test_a_member_fails_alone(site):
    sweep = site.root / "one is wrong.json"
    sweep.write_text('{"members": [{"learning_rate": 1e30}, {"learning_rate": 1e-6}]}')
    job = site.submit("dpo_8b_de", "--ntasks-per-node=1", REFRAIN_TENSOR_PARALLEL=1, REFRAIN_SWEEP=sweep)
    assert site.cluster.wait(f"{job}_0", "FAILED", "COMPLETED")["ExitCode"] == "1:0"
    assert site.cluster.wait(f"{job}_1", "FAILED", "COMPLETED")["JobState"] == "COMPLETED", (
        site.log("dpo_8b_de", job, 1))
    failed = site.run_dir("dpo_8b_de", "1e30")
    assert status(failed)["state"] == "failed"
    assert not (failed / "final").exists()
    assert status(site.run_dir("dpo_8b_de"))["state"] == "finished"


def test_the_submitting_shell_wins_over_the_site_file(site):
    job = site.submit("dpo_8b_fr", "--array=0", "--ntasks-per-node=2", REFRAIN_TENSOR_PARALLEL=2,
                      REFRAIN_TRAIN_ARGS="--max-steps 1", REFRAIN_SHARD_ARGS="--max-length 64")
    site.cluster.wait(f"{job}_0", "COMPLETED", "FAILED")
    assert status(site.run_dir("dpo_8b_fr"))["step"] == 1, site.log("dpo_8b_fr", job, 0)
    assert "--max-length 64" in site.log("dpo_8b_fr", job, 0)


def test_an_allocation_that_does_not_suit_names_the_line_that_would(site):
    job = site.submit("dpo_8b_it", "--array=0", "--ntasks-per-node=3")
    assert site.cluster.wait(f"{job}_0", "FAILED", "COMPLETED")["JobState"] == "FAILED"
    assert ("which do not divide into groups of 4 (tensor parallel) (sbatch --array=0 --nodes=1 --ntasks-per-node=4 "
            "slurm/dpo_8b_it.sh)"
            in site.log("dpo_8b_it", job, 0))
    assert not site.run_dir("dpo_8b_it").exists()


def test_a_cancelled_job_stays_cancelled(site):
    job = site.submit("dpo_8b_balanced", "--nodes=2", "--ntasks-per-node=2", "--array=0", REFRAIN_TENSOR_PARALLEL=2,
                      REFRAIN_TRAIN_ARGS="--max-steps 100 --epochs 100 --global-batch-pairs 16",
                      REFRAIN_RUNS=site.root / "cancelled")
    wait_for_step(site.run_dir("dpo_8b_balanced", runs="cancelled"), 1)
    site.cluster.login("scancel", job)
    site.cluster.wait(f"{job}_0", "CANCELLED")
    time.sleep(3)
    assert site.cluster.record(f"{job}_0")["JobState"] == "CANCELLED"
    assert site.cluster.login("squeue", "-h", "-j", job) == ""


PROMPTS = 12  # a language


def freeze_while_answering(site, job, index, folder):
    """Stops the ranks of a model's refrain-generate once they have kept some of its answers and long before the last.
    Gives a function that sends them another signal."""
    parts = pathlib.Path(f"{folder}/responses.h5.parts")
    wait_until(lambda: any(part.stat().st_size for part in parts.glob("rank-*")), f"answers in {parts}",
               lambda: site.log("generate", job, index))
    node = int(site.cluster.record(f"{job}_{index}")["NodeList"].removeprefix("n"))

    def signal(name):
        return site.cluster.node(node, "pkill", f"-{name}", "-f", f"^/[^ ]*/refrain-generate .*{folder.name}")

    signal("STOP")
    assert not (folder / "responses.h5").exists()
    return signal


def test_answers_judges_and_report_follow_training_by_dependency(site):
    script, ranks = "dpo_8b_lt", "--ntasks-per-node=2"
    settings = dict(site.prepare_evaluation(PROMPTS), REFRAIN_STUDY=script, REFRAIN_TENSOR_PARALLEL=2,
                    REFRAIN_GENERATE_ARGS="--max-new-tokens 100 --cache-memory 0.001")  # a few answers at a time
    train = site.submit(script, ranks, **settings)
    generate = site.submit("generate", ranks, f"--dependency=afterok:{train}", **settings)
    judge = site.submit("judge", ranks, f"--dependency=afterok:{generate}", **settings)
    report = site.submit("report", f"--dependency=afterok:{judge}", **settings)
    members, base = [site.run_dir(script), site.run_dir(script, "5e-7")], site.root / "runs/base/model"

    # A member is told to stop, as before a time limit; the base's ranks do not answer to anything until they are killed.
    signal_member = freeze_while_answering(site, generate, 0, members[0])
    freeze_while_answering(site, generate, 2, base)
    site.cluster.login("scontrol", "requeue", f"{generate}_2")
    site.cluster.login("scancel", "--signal=USR1", "--batch", f"{generate}_0")
    signal_member("CONT")

    for index in range(3):
        site.cluster.wait(f"{generate}_{index}", "COMPLETED", "FAILED")
    logs = [site.log("generate", generate, index) for index in range(3)]
    assert f"requeued job {generate}_0" in logs[0]
    for index in (0, 2):
        assert logs[index].count("srun --mpi=pmix --kill-on-bad-exit=1 --export=ALL --nodes=1 --ntasks=2 ") == 2
        assert f" of {12 * PROMPTS} answers are there already" in logs[index]
    assert "".join(logs).count("making prompts.h5") == 1

    site.cluster.wait(judge, "COMPLETED", "FAILED")
    site.cluster.wait(report, "COMPLETED", "FAILED")
    log = site.log("judge", judge)
    for folder in (*members, base):
        with h5py.File(folder / "responses.h5") as file:
            assert sorted(file["/response/row_id"][()]) == sorted(12 * list(range(PROMPTS))), log
        with h5py.File(folder / "verdicts.h5") as file:
            assert set(file["judges"]) == {"guard-one", "guard-two", "arbiter", "refusal-pattern", "quality"}, log
        refrain.run("convert", "verify", folder / "responses.h5", folder / "verdicts.h5")

    page = site.root / "runs" / script / "report"
    assert "ASR" in (page / "report.html").read_text(), site.log("report", report)
    with open(page / "asr.csv") as file:
        pooled = {row["name"]: row["n"] for row in csv.DictReader(file) if row["language"] == "all"}
    assert pooled == {"base": str(12 * PROMPTS),
                      **{f"{script}/{folder.name}": str(12 * PROMPTS) for folder in members}}
    with open(page / "transfer.csv") as file:
        assert [(row["train"], row["test"]) for row in csv.DictReader(file)] == [("lt", each) for each in LANGUAGES]
