"""What ends a job before its time, and what becomes of the run: it goes on by itself to the weights of a run that nothing
happened to, or stops with a line that names node and cause."""

import contextlib
import json
import re
import subprocess
import time

import checkpoints
import pytest
from disks import small_disk
from refrain import LONG, run

from cluster import Cluster, Site, first_steps, starts, status, wait_for_step, wait_until

SCRIPT = "dpo_8b_balanced"
TRAINING = "--max-steps 18 --epochs 18 --global-batch-pairs 16 --checkpoint-every 3 --timeout 10"
OPTIONS = ("--nodes=2", "--ntasks-per-node=2", "--array=0", "--time=60", "--mem=1000")
long = pytest.mark.skipif(not LONG, reason="REFRAIN_TEST_LONG=1 runs it")


@pytest.fixture(scope="module", params=["kind", "unkind"] if LONG else ["kind"])
def site(request, tmp_path_factory):
    """A site on four nodes that are given up after ten seconds without a word."""
    folder = tmp_path_factory.mktemp(request.param)
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk", "30m")) if LONG else None  # hosts see what is mounted before
        unkind = ["--unkind"] if request.param == "unkind" else []
        cluster = stack.enter_context(Cluster("--nodes", 4, "--cpus", 4, "--set", "SlurmdTimeout=10", *unkind))
        site = Site(folder, cluster)
        site.disk = disk
        yield site


class Job:
    """One run of the same training, in a folder of its own."""

    def __init__(self, site, name, *options, runs=None):
        self.site, self.cluster = site, site.cluster
        self.runs = runs or site.root / name
        self.run = self.runs / SCRIPT / "beta=0.1,lr=1e-6,seed=42"
        self.submit(*options)

    def submit(self, *options):
        self.id = self.site.submit(SCRIPT, *OPTIONS, *options, REFRAIN_TENSOR_PARALLEL=2,
                                   REFRAIN_TRAIN_ARGS=TRAINING, REFRAIN_RUNS=self.runs)

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
        assert digests(self.run) == undisturbed, self.log
        assert [row["step"] for row in steps(self.run)] == list(range(1, 19))


def steps(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def digests(run_dir):
    """Digests of the values of every tensor in final/."""
    assert status(run_dir)["state"] == "finished"
    run("convert", "verify", run_dir)
    return checkpoints.manifest(run_dir / "final")["tensors"]


@pytest.fixture(scope="module")
def undisturbed(site):
    job = Job(site, "undisturbed")
    assert job.end()["JobState"] == "COMPLETED", job.log
    assert [start["ending"] for start in starts(job.run)] == ["finished"]
    return digests(job.run)


def test_a_rank_that_is_killed(site, undisturbed):
    job = Job(site, "killed rank")
    wait_for_step(job.run, 4)
    node = job.nodes()[-1]
    job.on(node, "pkill", "-KILL", "-o", "-x", "refrain-train")
    job.wait_for_restart()
    line = re.search(rf"warning: (training ended with exit code 137 \(signal 9\): n{node}: task [23]: Killed); the next "
                     "start goes on from the last checkpoint", job.log)
    assert line, job.log
    assert f"requeued job {job.id}_0" in job.log
    waiting = status(job.run)
    assert (waiting["state"], waiting["error"]) == ("stopped", line[1])
    job.assert_as(undisturbed)
    assert [start["ending"] for start in starts(job.run)] == ["lost", "finished"]
    assert first_steps(job.run)[1] >= 3


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
    assert [start["ending"] for start in starts(job.run)] == ["lost", "finished"], job.log
