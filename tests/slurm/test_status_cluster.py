"""refrain-study doctor and status on a Slurm of two nodes: on its login host, inside a job, beside a run that is
trained and when all of its processes are gone."""

import json
import os
import time

import refrain

from cluster import site_on, status, wait_for_step, wait_until

SCRIPT = "dpo_8b_de"
TWO_NODES = ("--nodes=2", "--ntasks-per-node=2", "--array=0")

site = site_on("--nodes", 2, "--cpus", 4, "--unkind")


def on_login(site, *words, check=True):
    """refrain-study in a login shell that has read the site file."""
    return site.cluster.login("bash", "-c", '. env/site.sh && exec build/bin/refrain-study "$@"', "sh", *words,
                              check=check, cwd=site.home)


def test_the_doctor_on_the_login_host_and_inside_a_job(site):
    def findings(text):
        assert "\n0 broken, " in text, text
        return text.splitlines()

    said = findings(on_login(site, "doctor"))
    assert f"ok       REFRAIN_RUNS: is made when it is needed; in {site.root} files are made, synced and renamed " \
           f"[{site.root}/runs]" in said
    assert ("warning  JobRequeue: 0: jobs are requeued only where they ask for it (keep --requeue in scripts of your "
            "own, as those of slurm/ have it)") in said
    assert any(line.startswith("warning  memory: is counted (CR_CPU_MEMORY)") for line in said)

    script, out = site.root / "doctor.sh", site.root / "doctor.log"
    script.write_text(f"#!/bin/bash\ncd '{site.home}' && . env/site.sh && mkdir -p \"$REFRAIN_RUNS\" && "
                      "exec build/bin/refrain-study doctor\n")
    job = site.cluster.login("sbatch", "--parsable", "--nodes=2", "--ntasks-per-node=2", f"--output={out}",
                             script).strip()
    assert site.cluster.wait(job, "COMPLETED", "FAILED")["JobState"] == "COMPLETED", out.read_text()
    said = findings(out.read_text())
    assert any(line.startswith("ok       launcher: srun --mpi=pmix ")
               and line.endswith(" --ntasks-per-node=2 --cpus-per-task=1 starts a world of 4 ranks on 2 nodes")
               for line in said), said
    assert "ok       nodes: all 2 write to REFRAIN_RUNS" in said
    assert "ok       OMP_NUM_THREADS: not set: 1 threads a rank, its CPUs" in said
    assert f"warning  job {job}: may not be requeued (submit it with --requeue; where that is refused, its index is " \
           "submitted again)" in said


# So many that it is still at work once it has been looked at.
STEPS = 60


def the_run(site):
    (only,) = json.loads(on_login(site, "status", "--json"))
    return only


def test_status_beside_a_run_and_when_it_is_lost(site):
    variables = {"REFRAIN_TENSOR_PARALLEL": 2,
                 "REFRAIN_TRAIN_ARGS": f"--max-steps {STEPS} --epochs {STEPS} --global-batch-pairs 16 --checkpoint-every 100"}
    job = site.submit(SCRIPT, *TWO_NODES, **variables)
    run = site.run_dir(SCRIPT)
    wait_for_step(run, 3)
    for node in (1, 2):
        site.cluster.node(node, "pkill", "-STOP", "-x", "refrain-train")
    seen = the_run(site)
    assert (seen["name"], seen["state"], seen["steps"]) == (f"{SCRIPT}/{run.name}", "running", STEPS)
    assert seen["step"] >= 3 and seen["loss"] > 0 and seen["seconds_left"] > 0 and seen["restarts"] == 0
    assert seen["job"] == site.cluster.record(f"{job}_0")["JobId"]
    assert f"in the queue: {SCRIPT}: 1 RUNNING" in on_login(site, "status")

    for name in ("refrain-study", "refrain-train"):
        for node in (1, 2):
            site.cluster.node(node, "pkill", "-KILL", "-x", name)
    site.cluster.wait(f"{job}_0", "FAILED", "COMPLETED", "NODE_FAIL")
    os.utime(run / "lock", (time.time() - 300,) * 2)  # its last heartbeat
    before = status(run)
    assert before["state"] == "running"
    lost = the_run(site)
    assert lost["state"] == "lost" and lost["step"] == before["step"]
    assert lost["error"].startswith(f"no sign of life since {before['updated']}; its lock is of process ")

    again = site.submit(SCRIPT, *TWO_NODES, **variables)
    site.cluster.wait(f"{again}_0", "COMPLETED", "FAILED")
    done = the_run(site)
    assert (done["state"], done["step"], done["restarts"]) == ("finished", STEPS, 1), site.log(SCRIPT, again, 0)
    assert done["node_hours"] > 0
    assert done["steps_again"] == before["step"]  # there was no checkpoint
    assert done["error"] is None
