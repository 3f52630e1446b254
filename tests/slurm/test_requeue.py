"""What ends a job before its time, and what becomes of the run: it goes on by itself to the weights of a run that
nothing happened to, or stops with a line that names node and cause."""

import contextlib
import json
import re
import subprocess

import checkpoints
import pytest
import safetensors.numpy
from disks import small_disk
from refrain import LONG, run

from cluster import Cluster, Site, first_steps, starts, status, wait_for_step, wait_until

SCRIPT = "dpo_8b_balanced"
STEPS = 40
TRAINING = f"--max-steps {STEPS} --epochs 40 --global-batch-pairs 16 --checkpoint-every 3 --timeout 10"
OPTIONS = ("--nodes=2", "--ntasks-per-node=2", "--array=0", "--time=60", "--mem=1000")
long = pytest.mark.skipif(not LONG, reason="REFRAIN_TEST_LONG=1 runs it")


@pytest.fixture(scope="module", params=["kind", "unkind"] if LONG else ["kind"])
def site(request, tmp_path_factory):
    """A site on four nodes that are given up after ten seconds without a word, with a partition that preempts."""
    settings = [word for setting in ("SlurmdTimeout=10", "KillWait=5", "PreemptType=preempt/partition_prio",
                                     "PreemptMode=REQUEUE", "PartitionName=urgent Nodes=ALL PriorityTier=10 State=UP")
                for word in ("--set", setting)]
    folder = tmp_path_factory.mktemp(request.param)
    with contextlib.ExitStack() as stack:
        # Hosts see what is mounted before they start.
        disk = stack.enter_context(small_disk(folder / "disk", "30m")) if LONG else None
        unkind = ["--unkind"] if request.param == "unkind" else []
        cluster = stack.enter_context(Cluster("--nodes", 4, "--cpus", 4, *settings, *unkind))
        site = Site(folder, cluster)
        site.disk = disk
        yield site


class Job:
    """One run of the same training, in a folder of its own."""

    def __init__(self, site, name, *options, runs=None, training=TRAINING):
        self.site, self.cluster, self.training = site, site.cluster, training
        self.runs = runs or site.root / name
        self.run = self.runs / SCRIPT / "beta=0.1,lr=1e-6,seed=42"
        self.submit(*options)

    def submit(self, *options):
        self.id = self.site.submit(SCRIPT, *OPTIONS, *options, REFRAIN_TENSOR_PARALLEL=2,
                                   REFRAIN_TRAIN_ARGS=self.training, REFRAIN_RUNS=self.runs)

    @property
    def log(self):
        return self.site.log(SCRIPT, self.id, 0)

    @property
    def restarts(self):
        return int(self.cluster.record(f"{self.id}_0")["Restarts"])

    def nodes(self):
        """Numbers of the nodes on which it runs."""
        names = self.cluster.login("scontrol", "show", "hostnames",
                                   self.cluster.record(f"{self.id}_0")["NodeList"])
        return [int(name.removeprefix("n")) for name in names.split()]

    def on(self, node, *words):
        return self.cluster.node(node, *words)

    def wait_for_line(self, words):
        wait_until(lambda: words in self.log, f"{words!r} in the log", lambda: self.log)

    def wait_for_restart(self, times=1):
        wait_until(lambda: self.restarts >= times, f"{times} restarts", lambda: self.log)

    def end(self):
        """Waits for the end. Its record."""
        return self.cluster.wait(f"{self.id}_0", "COMPLETED", "FAILED", "NODE_FAIL", "CANCELLED", "TIMEOUT")

    def assert_as(self, undisturbed):
        """It finished by itself, on the way that the undisturbed run took."""
        assert self.end()["JobState"] == "COMPLETED", self.log
        assert "submitted again" not in self.log, self.log  # nor a second job for the same work
        assert digests(self.run) == undisturbed, self.log
        assert [row["step"] for row in steps(self.run)] == list(range(1, STEPS + 1))


def steps(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def digests(run_dir):
    """Digests of the values of every tensor in final/."""
    assert status(run_dir)["state"] == "finished", status(run_dir)
    run("convert", "verify", run_dir)
    return checkpoints.manifest(run_dir / "final")["tensors"]


@pytest.fixture(scope="module")
def undisturbed(site):
    job = Job(site, "undisturbed")
    assert job.end()["JobState"] == "COMPLETED", job.log
    assert [start["ending"] for start in starts(job.run)] == ["finished"]
    before = safetensors.numpy.load_file(site.model / "model.safetensors")
    after = checkpoints.tensors(job.run / "final")
    assert all((after[name] != value).any() for name, value in before.items())  # there is something to compare
    return digests(job.run)


def test_a_rank_that_is_killed(site, undisturbed):
    job = Job(site, "killed rank")
    wait_for_step(job.run, 4)
    node = job.nodes()[-1]
    job.on(node, "pkill", "-KILL", "-o", "-x", "refrain-train")
    job.wait_for_restart()
    line = re.search(rf"warning: (training ended with exit code 137 \(signal 9\): n{node}: task [23]: Killed); the "
                     "next start goes on from the last checkpoint", job.log)
    assert line, job.log
    assert f"requeued job {job.id}_0" in job.log
    waiting = status(job.run)
    assert (waiting["state"], waiting["error"]) == ("stopped", line[1])
    job.assert_as(undisturbed)
    assert [start["ending"] for start in starts(job.run)] == ["lost", "finished"]
    assert first_steps(job.run)[1] >= 3


def test_an_operator_requeues(site, undisturbed):
    job = Job(site, "operator")
    wait_for_step(job.run, 4)
    site.cluster.login("scontrol", "requeue", f"{job.id}_0")
    job.assert_as(undisturbed)
    assert job.restarts == 1
    assert f"Slurm has requeued job {job.id}_0 itself" in job.log
    assert [start["ending"] for start in starts(job.run)] == ["stopped", "finished"]
    assert first_steps(job.run)[1] == starts(job.run)[0]["step"] >= 4


@long
@pytest.mark.parametrize("which", [0, -1], ids=["first", "last"])
def test_a_node_that_is_lost(site, undisturbed, which):
    job = Job(site, f"lost node {which}")
    wait_for_step(job.run, 4)
    node = job.nodes()[which]
    site.cluster.switch(node, on=False)
    try:
        job.wait_for_restart()
        job.assert_as(undisturbed)
        assert node not in job.nodes()
    finally:
        site.cluster.switch(node, on=True)
    # Slurm's PMIx may stumble once over what the lost step of the same number left on the other node.
    *lost, last = [start["ending"] for start in starts(job.run)]
    assert set(lost) == {"lost"} and last == "finished", job.log
    if which == 0:
        assert f"warning: training was killed on n{node}, or the node was lost; this start goes on" in job.log
    else:
        assert re.search(rf"warning: training ended with exit code \d+.*\bn{node}\b.*; the next start goes on from the",
                         job.log), job.log


@long
@pytest.mark.parametrize("which", [0, -1], ids=["first", "last"])
def test_a_node_whose_slurmd_is_killed_while_its_ranks_live(site, undisturbed, which):
    job = Job(site, f"lost slurmd {which}")
    wait_for_step(job.run, 4)
    node = job.nodes()[which]
    job.on(node, "pkill", "-KILL", "-x", "slurmd")
    job.on(node, "pkill", "-STOP", "-x", "refrain-train")  # else the run would be done before anybody notices
    try:
        job.wait_for_restart()
        job.on(node, "pkill", "-CONT", "-x", "refrain-train")
        job.assert_as(undisturbed)
        assert node not in job.nodes()
    finally:
        job.on(node, "slurmd", "-N", f"n{node}")


@long
def test_a_time_limit(site, undisturbed):
    # The script's own directive asks for the signal 300 s before the limit: with a limit of a minute Slurm gives it at
    # its next look at running times, which come every 30 s. So the first start may be told to stop before its first
    # step; a rank that sleeps, longer than the others' patience else, keeps the start that is watched here from being
    # done before.
    job = Job(site, "time limit", "--time=1", training=TRAINING.replace("--timeout 10", "--timeout 300"))
    wait_for_step(job.run, 4)
    before = job.restarts
    job.on(job.nodes()[-1], "pkill", "-STOP", "-o", "-x", "refrain-train")
    wait_until(lambda: site.cluster.record(f"{job.id}_0")["RunTime"] > "00:00:36", "36 s of running")
    job.on(job.nodes()[-1], "pkill", "-CONT", "-x", "refrain-train")
    job.wait_for_restart(before + 1)
    assert f"requeued job {job.id}_0" in job.log
    site.cluster.login("scontrol", "update", f"JobId={job.id}_0", "TimeLimit=10")
    job.assert_as(undisturbed)
    *stopped, last = starts(job.run)
    assert {start["ending"] for start in stopped} == {"stopped"} and last["ending"] == "finished", job.log
    assert first_steps(job.run)[-1] == stopped[-1]["step"] >= 4


@long
def test_preemption(site, undisturbed):
    job = Job(site, "preempted")
    wait_for_step(job.run, 4)
    urgent = site.cluster.login("sbatch", "--parsable", "--partition=urgent", "--nodes=4", "--mem=1000",
                                "--output=/dev/null", "--exclusive", "--wrap", "sleep 5").strip()
    site.cluster.wait(urgent, "COMPLETED")
    job.assert_as(undisturbed)
    assert job.restarts == 1
    assert [start["ending"] for start in starts(job.run)] == ["stopped", "finished"], job.log


@long
def test_a_link_between_nodes_that_is_cut(site, undisturbed):
    job = Job(site, "cut link")
    wait_for_step(job.run, 4)
    nodes = job.nodes()
    site.cluster.cut(nodes)
    try:
        job.wait_for_restart()
    finally:
        site.cluster.cut(nodes, cut=False)
    job.assert_as(undisturbed)
    names = "|".join(f"n{node}" for node in nodes)
    assert re.search(rf"warning: training ended with exit code \d+.*\b({names})\b.*; the next start goes on from the "
                     "last checkpoint", job.log), job.log


@long
def test_a_disk_that_is_full(site, undisturbed):
    job = Job(site, "full disk", runs=site.disk / "runs")
    wait_for_step(job.run, 4)
    subprocess.run(["dd", "if=/dev/zero", f"of={site.disk}/filler", "bs=64k"], capture_output=True)
    assert job.end()["JobState"] == "FAILED", job.log
    line = re.search(r"refrain-study: (training ended with exit code 1: n\d+: .*(No space left on device|free).*) \[.*\] "
                     r"\(its lines are above; the same command goes on from the last checkpoint\)", job.log)
    assert line, job.log
    assert (status(job.run)["state"], status(job.run)["error"]) == ("failed", line[1])
    assert job.restarts == 0
    (site.disk / "filler").unlink()
    job.submit()
    job.assert_as(undisturbed)
    assert first_steps(job.run)[1] >= 3


@contextlib.contextmanager
def without_controller(cluster):
    cluster.login("pkill", "-x", "slurmctld")
    wait_until(lambda: not cluster.login("pgrep", "-x", "slurmctld", check=False), "the end of slurmctld")
    try:
        yield
    finally:
        cluster.login("slurmctld")


@long
def test_a_controller_that_is_away_when_time_is_up(site, undisturbed):
    job = Job(site, "controller")
    wait_for_step(job.run, 4)
    first = job.nodes()[0]
    with without_controller(site.cluster):
        job.on(first, "pkill", "-USR1", "-x", "refrain-study")
        job.wait_for_line("Slurm's controller does not answer: waiting for it")
    # A controller that has just come back may refuse to requeue; then the index is submitted again.
    wait_until(lambda: starts(job.run)[-1]["ending"] == "finished", "the end of training", lambda: job.log)
    assert digests(job.run) == undisturbed, job.log
    assert re.search(rf"requeued job {job.id}_0|submitted again as job \d+", job.log), job.log
    assert [start["ending"] for start in starts(job.run)] == ["stopped", "finished"]


@long
def test_a_controller_that_is_restarted_while_a_job_trains(site, undisturbed):
    job = Job(site, "controller, unnoticed")
    wait_for_step(job.run, 4)
    with without_controller(site.cluster):
        wait_until(lambda: status(job.run)["state"] == "finished", "the end of training", lambda: job.log)
    job.assert_as(undisturbed)
    assert [start["ending"] for start in starts(job.run)] == ["finished"]


@long
def test_a_crash_loop(site):
    job = Job(site, "crash loop")
    for restart in range(4):
        wait_until(lambda: job.log.count("refrain-train --pairs") > restart, f"start {restart}", lambda: job.log)
        job.on(job.nodes()[0], "sh", "-c", "until pkill -KILL -o -x refrain-train; do sleep 0.05; done")
        if restart < 3:
            job.wait_for_restart(restart + 1)
    assert job.end()["JobState"] == "FAILED"
    assert "submitted again" not in job.log, job.log
    line = re.search(r"refrain-study: (three restarts in a row have come no further than step 0.*, so the job is not "
                     r"requeued: training ended with exit code (?:137 \(signal 9\)|143 \(signal 15\)): (n\d+): task [01]: "
                     r"Killed) \[.*\] "
                     rf"\(look at \2; sbatch --array=0 --exclude=\2 slurm/{SCRIPT}.sh goes on from the last "
                     r"checkpoint\)", job.log)
    assert line, job.log
    assert (status(job.run)["state"], status(job.run)["error"]) == ("failed", line[1])
    assert [start["ending"] for start in starts(job.run)] == ["lost", "lost", "lost", "failed"]
