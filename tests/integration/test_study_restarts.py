"""What refrain-study does in a job whose ranks are lost, fail, or are killed with it; stand-ins as in test_study."""

import json
import os
import pathlib
import signal
import subprocess

import pytest
from disks import small_disk
from refrain import check_line
from run_folders import myself, seal, write_lock
from study_project import (MEMBERS, STUDY, calls, executable, fake_slurm, make_project, project, run_dir, slurm, start, stop,
                           study, wait_for)

KILLED = "srun: error: n2: task 3: Killed\n"
WORDS = ("member", STUDY)


def requeues(project):
    return calls(project).count("scontrol requeue 6_1")


def status(project):
    return json.loads((run_dir(project, 1) / "status.json").read_text())


def starts(project):
    return [json.loads(line) for line in pathlib.Path(f"{run_dir(project, 1)}.starts.jsonl").read_text().splitlines()]


def test_a_job_that_lost_a_rank_is_requeued(project, slurm):
    _, err = study(project, *WORDS, exit_code=85, FAKE="killed", SAYS=KILLED, **slurm)
    line = "training ended with exit code 137 (signal 9): n2: task 3: Killed"
    assert f"warning: {line}; the next start goes on from the last checkpoint\n" in err
    assert err.endswith("requeued job 6_1\n") and requeues(project) == 1
    assert (status(project)["state"], status(project)["error"]) == ("stopped", line)
    study(project, *WORDS, SLURM_RESTART_COUNT="1", **slurm)
    assert [line["ending"] for line in starts(project)] == ["lost", "finished"]
    assert status(project)["state"] == "finished"


def srun_that_stumbles(project, times):
    """A launcher that starts no rank at first, and ends as srun does then."""
    executable(project / "stumbling", f"""#!/bin/sh
echo stumbling >> "$CALLS"
[ "$(grep -c stumbling "$CALLS")" -gt {times} ] && exec "$@"
echo "srun: error: task 2 launch failed: Unspecified error" >&2
""")
    return {"REFRAIN_LAUNCHER": f"'{project}/stumbling'"}


def test_ranks_that_srun_could_not_start_are_started_again(project, slurm):
    _, err = study(project, *WORDS, **srun_that_stumbles(project, 2), **slurm)
    line = "warning: srun started no ranks (task 2 launch failed: Unspecified error); starting them again\n"
    assert err.count(line) == 2
    assert [line["ending"] for line in starts(project)] == ["finished"] and requeues(project) == 0


def test_a_job_whose_ranks_srun_never_starts_is_requeued(project, slurm):
    _, err = study(project, *WORDS, exit_code=85, **srun_that_stumbles(project, 3), **slurm)
    assert ("warning: training ended with exit code 1: task 2 launch failed: Unspecified error; the next start goes on "
            "from the last checkpoint\n") in err
    assert [line["ending"] for line in starts(project)] == ["lost"] and requeues(project) == 1


def test_a_crash_loop_ends_after_three_restarts(project, slurm):
    lost = dict(slurm, FAKE="killed", SAYS=KILLED)
    for _ in range(3):
        study(project, *WORDS, exit_code=85, **lost)
    _, err = study(project, *WORDS, exit_code=1, **lost)
    line = ("three restarts in a row have come no further than step 0, so the job is not requeued: training ended with "
            "exit code 137 (signal 9): n2: task 3: Killed")
    check_line("study", err.replace(KILLED, ""),
               f"{line} [{run_dir(project, 1)}] (look at n2; sbatch --array=1 --exclude=n2 slurm/{STUDY}.sh goes on "
               "from the last checkpoint)")
    assert requeues(project) == 3
    assert (status(project)["state"], status(project)["error"]) == ("failed", line)
    # Submitted again by hand it has its restarts again.
    study(project, *WORDS, exit_code=85, **lost)


@pytest.mark.parametrize("fake, code, remedy", [
    ("fail", 1, "its lines are above; the same command goes on from the last checkpoint"),
    ("refuse", 2, "its line above says why")])
def test_what_would_come_again_is_not_requeued(project, slurm, fake, code, remedy):
    said = ("refrain-train: rank 3: cannot write the file: No space left on device [/x]\n"
            f"srun: error: n2: task 3: Exited with exit code {code}\nsrun: error: n1: tasks 0-1: Killed\n")
    _, err = study(project, *WORDS, exit_code=1, FAKE=fake, SAYS=said, **slurm)
    line = (f"training ended with exit code {code}: n2: rank 3: cannot write the file: No space left on device [/x]")
    check_line("study", err.replace(said, ""), f"{line} [{run_dir(project, 1)}] ({remedy})")
    assert requeues(project) == 0 and starts(project)[0]["ending"] == "failed"


NO_TEMPLATE = "the tokenizer has no chat template [/model] (name one with --chat-template)"


@pytest.mark.parametrize("variables, line", [
    ({"FAKE": "shard-fails", "SAYS": f"refrain-shard: {NO_TEMPLATE}\n"},
     f"refrain-shard ended with exit code 3: {NO_TEMPLATE}"),
    ({"SLURM_TASKS_PER_NODE": "3", "REFRAIN_TENSOR_PARALLEL": "2"},
     "job 6_1 has 3 tasks, which do not divide into groups of 2 (tensor parallel)"),
])
def test_what_fails_before_training_is_told_of_the_member(project, slurm, variables, line):
    """There is no run folder, but its start is on record."""
    _, err = study(project, *WORDS, exit_code=1, **slurm | variables)
    assert err.splitlines()[-1].startswith(f"refrain-study: {line} ") and not run_dir(project, 1).exists()
    record, = starts(project)
    assert (record["ending"], record["error"], record["job"], record["exit"]) == ("failed", line, "6_1", 1)
    out, _ = study(project, "status", "--json")
    run, = json.loads(out)
    assert (run["name"], run["state"], run["error"], run["job"]) == (f"{STUDY}/{MEMBERS[1]}", "failed", line, "6_1")

    # It had stopped before: what stands there says so no longer.
    run_dir(project, 1).mkdir()
    seal(run_dir(project, 1) / "status.json", {"state": "stopped", "step": 3, "error": None})
    study(project, *WORDS, exit_code=1, **slurm | variables)
    assert (status(project)["state"], status(project)["step"], status(project)["error"]) == ("failed", 3, line)

    # While another job trains it, it has not failed.
    write_lock(run_dir(project, 1), myself(), job="9")
    study(project, *WORDS, exit_code=1, **slurm | variables)
    assert len(starts(project)) == 2


@pytest.mark.parametrize("where", ["in a job", "at a desk"])
def test_nothing_is_recorded_of_a_start_beside_another(project, slurm, where):
    run_dir(project, 1).mkdir(parents=True)
    seal(run_dir(project, 1) / "status.json", {"state": "running", "step": 3, "error": None})
    write_lock(run_dir(project, 1), myself(), job="9")
    before = status(project)
    _, err = study(project, *WORDS, "--index", 1, exit_code=1, **(slurm if where == "in a job" else {}))
    check_line("study", err, f"another job is at work here: process {os.getpid()} on here, Slurm job 9, since "
                             f"2026-01-31T12:00:00Z [{run_dir(project, 1)}/lock] (wait until it ends, or stop it)")
    assert not any(line.startswith("train") for line in calls(project)) and status(project) == before
    assert not list(run_dir(project, 1).parent.glob("*.start*.json*"))


def kill_the_study(project, slurm, restart):
    process = start(project, *WORDS, FAKE="wait", SLURM_RESTART_COUNT=str(restart), **slurm)
    count = calls(project).count("waiting")
    while calls(project).count("waiting") == count:
        assert process.poll() is None
    process.kill()
    process.communicate(timeout=20)


def test_starts_that_were_killed_with_the_study_count_as_restarts(project, slurm):
    for restart in range(4):
        kill_the_study(project, slurm, restart)
    _, err = study(project, *WORDS, exit_code=1, SLURM_RESTART_COUNT="4", **slurm)
    host = starts(project)[0]["host"]
    line = ("three restarts in a row have come no further than step 0, so the job is not requeued: training was killed "
            f"on {host}, or the node was lost")
    check_line("study", err, f"{line} [{run_dir(project, 1)}] (look at {host}; sbatch --array=1 --exclude={host} "
                             f"slurm/{STUDY}.sh goes on from the last checkpoint)")
    assert [line["ending"] for line in starts(project)] == ["lost", "lost", "lost", "failed"]
    assert status(project)["error"] == line


def test_a_job_that_slurm_has_requeued_is_left_alone(project, slurm):
    process = start(project, *WORDS, FAKE="wait", SLURM_RESTART_COUNT="1", JOB_STATE="COMPLETING", RESTARTS="2",
                    **slurm)
    wait_for(project, "waiting")
    code, err = stop(process)
    assert code == 85 and "Slurm has requeued job 6_1 itself" in err and requeues(project) == 0


def test_a_controller_that_is_away_is_waited_for(project, slurm):
    process = start(project, *WORDS, FAKE="wait", **slurm)
    wait_for(project, "waiting")
    pathlib.Path(f"{project}/calls.controller-is-away").touch()
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 85, err
    assert "Slurm's controller does not answer: waiting for it" in err and requeues(project) == 1


def test_a_full_disk_hides_nothing(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        project = make_project(tmp_path / "elsewhere")
        slurm = fake_slurm(project)
        runs = {"REFRAIN_RUNS": str(disk / "runs"), **slurm}
        said = "refrain-train: cannot write the file: No space left on device [/x]\n"
        process = start(project, *WORDS, FAKE="wait", STOP_CODE="1", SAYS=said, **runs)
        wait_for(project, "waiting")
        subprocess.run(["dd", "if=/dev/zero", f"of={disk}/filler", "bs=4k"], capture_output=True)
        os.kill(int((project / "calls.pid").read_text()), signal.SIGKILL)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 1
        line = "training ended with exit code 137 (signal 9): cannot write the file: No space left on device [/x]"
        run = disk / "runs" / STUDY / MEMBERS[1]
        assert err.splitlines()[-1] == (f"refrain-study: {line} [{run}] (its lines are above; the same command goes on "
                                        "from the last checkpoint)")
        assert "warning: cannot write the record of starts" in err
        said_there = json.loads((run / "status.json").read_text())
        assert (said_there["state"], said_there["error"]) == ("failed", line)
