"""A whole study by `refrain-study run` with the real jobs: shard, train, generate, judge, adjudicate, report, archive."""

import csv
import json
import os
import re

import pytest
import refrain

from cluster import Cluster, Site, placeholder_pairs, wait_until

SETTINGS = {"kind": [], "unkind": ["--unkind"]}


@pytest.fixture(scope="module", params=["kind", pytest.param("unkind", marks=pytest.mark.skipif(
    not refrain.LONG, reason="REFRAIN_TEST_LONG=1 takes the unkind settings too"))])
def site(request, tmp_path_factory):
    with Cluster("--nodes", 3, "--cpus", 4, *SETTINGS[request.param]) as cluster:
        yield Site(tmp_path_factory.mktemp(request.param), cluster)


class Study:
    """A study of a site's small model, on pairs and prompts in these languages."""

    def __init__(self, site, name, languages, configurations, models=("8b",)):
        self.site, self.name = site, name
        self.folder = site.root / "runs" / name
        self.configurations, self.languages, self.models = configurations, languages, models
        judges = site.prepare_evaluation(1)
        pairs, prompts = site.root / f"{name}.pairs.jsonl", site.root / f"{name}.prompts.jsonl"
        pairs.write_text("".join(json.dumps(row) + "\n" for row in placeholder_pairs(4) if row["lang"] in languages))
        prompts.write_text("".join(json.dumps({"prompt": f"{language}: tell of restricted activity {row}",
                                               "lang": language, "row_id": row, "category": "S1"}) + "\n"
                                   for language in languages for row in range(2)))
        folders = {size: site.root / f"model of {size}" for size in models}
        for folder in folders.values():
            if not folder.exists():
                folder.symlink_to(site.model)
        small = "--ntasks-per-node=1 --mem=500"
        self.file = site.root / f"{name}.json"
        self.file.write_text(json.dumps({
            "models": {size: str(folder) for size, folder in folders.items()},
            "configurations": configurations, "sweep": "paper", "pairs": str(pairs), "prompts": str(prompts),
            "judges": {str(site.root / "guard-one.json"): str(site.root / "guard-one"),
                       str(site.root / "guard-two.json"): str(site.root / "guard-two"), "refusal-pattern": None},
            "adjudicator": {"name": str(site.root / "arbiter.json"), "folder": str(site.root / "arbiter")},
            "tensor_parallel": 1, "train_args": "--max-steps 2 --global-batch-pairs 4",
            "generate_args": "--max-new-tokens 8",
            "sbatch": {stage: small for stage in ("shard", "train", "generate", "judge", "adjudicate", "report",
                                                  "archive")}}))
        assert judges  # the files that the study names

    def run(self, *words, check=True, **variables):
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("SLURM_", "SBATCH_", "REFRAIN_"))}
        return self.site.cluster.login(
            refrain.BIN / "refrain-study", "run", self.file, *words, check=check, cwd=self.site.submit_folder,
            env={**kept, "REFRAIN_HOME": str(self.site.home), "REFRAIN_RUNS": str(self.site.root / "runs"),
                 **{name: str(value) for name, value in variables.items()}})

    def state(self):
        return json.loads((self.folder / "study.json").read_text())["jobs"]

    def logs(self):
        return "".join(f"== {file.name}\n{file.read_text()}" for file in sorted((self.folder / "logs").glob("*.log")))

    def queue(self):
        return self.site.cluster.login("squeue", "-h", "-a", "-o", "%i %j %T %r")

    def wait(self, file):
        """Waits for a file, or until nothing is left in the queue."""
        wait_until(lambda: file.exists() or not self.queue(), f"{file}", lambda: self.queue() + self.logs())
        assert file.exists(), self.logs()

    def check_complete(self):
        subjects = len(self.configurations) + 1
        prompts = len(self.languages) * 2
        for size in self.models:
            with open(self.folder / "report" / size / "asr.csv") as file:
                pooled = {row["name"]: int(row["n"]) for row in csv.DictReader(file) if row["language"] == "all"}
            assert len(pooled) == subjects and set(pooled.values()) == {prompts}, pooled
        archive = self.site.root / "runs" / f"{self.name}.h5"
        refrain.run("archive", "verify", archive)
        listing = refrain.run("archive", "list", archive).stdout
        for size in self.models:
            for pairs in self.configurations:
                assert f"dpo_{size}_{pairs}/beta=0.1,lr=1e-6,seed=42" in listing, listing


def test_a_study_completes_in_waves_and_a_rerun_submits_nothing(site):
    study = Study(site, "small", ["en", "de"], ["english_only", "de"])
    printed = study.run(REFRAIN_MAX_JOBS=8)
    assert "the next wave: job " in printed, printed
    study.wait(site.root / "runs/small.h5")
    study.check_complete()
    # Each job once, whatever wave it came in.
    assert {name: len(submissions) for name, submissions in study.state().items()} == dict.fromkeys(
        ["8b/shard", "8b/train/english_only", "8b/generate/english_only", "8b/train/de", "8b/generate/de",
         "8b/generate/base", "8b/judge/guard-one", "8b/judge/guard-two", "8b/adjudicate", "8b/report", "archive"], 1)
    wait_until(lambda: not study.queue(), "an empty queue", study.queue)
    assert study.run() == f"the study is complete: {site.root}/runs/small.h5\n"
    for file in study.folder.rglob("*"):
        assert file.stat().st_mode & 0o077 == 0, f"{file} is not private"
