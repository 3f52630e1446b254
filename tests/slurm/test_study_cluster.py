"""A whole study by `refrain-study run` with the real jobs, from sharding to the archive."""

import csv
import json
import os
import re
import subprocess

import pytest
import refrain

from cluster import LANGUAGES, PATIENCE, SCRIPT, Cluster, Site, placeholder_pairs, wait_until

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
        if not (site.root / "arbiter").exists():
            site.prepare_evaluation(1)  # the judges that the study names
        pairs, prompts = site.root / f"{name}.pairs.jsonl", site.root / f"{name}.prompts.jsonl"
        pairs.write_text("".join(json.dumps(row) + "\n" for row in placeholder_pairs(4) if row["lang"] in languages))
        prompts.write_text("".join(json.dumps({"prompt": f"{language}: tell of restricted activity {row}",
                                               "lang": language, "row_id": row, "category": "S1"}) + "\n"
                                   for language in languages for row in range(2)))
        folders = {size: site.root / f"model of {size}" for size in models}
        for folder in folders.values():
            if not folder.exists():
                folder.symlink_to(site.model)
        small = "--nodes=1 --ntasks-per-node=1 --mem=500"
        self.file = site.root / f"{name}.json"
        self.write(
            models={size: str(folder) for size, folder in folders.items()}, configurations=configurations,
            sweep="paper", pairs=str(pairs), prompts=str(prompts),
            judges={str(site.root / "guard-one.json"): str(site.root / "guard-one"),
                    str(site.root / "guard-two.json"): str(site.root / "guard-two"), "refusal-pattern": None},
            adjudicator={"name": str(site.root / "arbiter.json"), "folder": str(site.root / "arbiter")},
            tensor_parallel=1, train_args="--max-steps 2 --global-batch-pairs 4", generate_args="--max-new-tokens 8",
            sbatch={stage: small for stage in ("shard", "train", "generate", "judge", "adjudicate", "report",
                                               "archive")})

    def write(self, **content):
        self.content = {**getattr(self, "content", {}), **content}
        self.file.write_text(json.dumps(self.content))

    def start(self, *words, **variables):
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("SLURM_", "SBATCH_", "REFRAIN_"))}
        return subprocess.run(
            [SCRIPT, "exec", self.site.cluster.folder, refrain.BIN / "refrain-study", "run", self.file, *words],
            cwd=self.site.submit_folder, capture_output=True, text=True, timeout=60,
            env={**kept, "REFRAIN_HOME": str(self.site.home), "REFRAIN_RUNS": str(self.site.root / "runs"),
                 **{name: str(value) for name, value in variables.items()}})

    def run(self, *words, **variables):
        done = self.start(*words, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def state(self):
        return json.loads((self.folder / "study.json").read_text())["jobs"]

    def logs(self):
        return "".join(f"== {file.name}\n{file.read_text()}" for file in sorted((self.folder / "logs").glob("*.log")))

    def queue(self):
        return self.site.cluster.login("squeue", "-h", "-a", "-o", "%i %j %T %r")

    def wait(self, file, patience=PATIENCE):
        """Waits for a file, or until nothing is left in the queue."""
        wait_until(lambda: file.exists() or not self.queue(), f"{file}", lambda: self.queue() + self.logs(), patience)
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
    right = dict(study.content)
    for changes, text in (
            ({"train_args": "--max-steps 3 --global-batch-pairs 4"}, "8b/train/english_only was made with --max-steps 2, and"),
            ({"generate_args": ""}, "8b/generate/english_only was made with --max-new-tokens 8, which the study does not say"),
            ({"judges": {**right["judges"], str(site.root / "guard-one.json"): str(site.root / "guard-two")}},
             f"8b/judge/guard-one was made with --checkpoint '{site.root}/guard-one', and the study says"),
            ({"adjudicator": {**right["adjudicator"], "folder": str(site.root / "guard-two")}},
             f"8b/adjudicate was made with --checkpoint '{site.root}/arbiter', and the study says"),
            ({"prompts": right["pairs"]}, "8b/generate/english_only was made with prompts.h5 of other files"),
            ({"pairs": right["prompts"]}, "8b/train/english_only was trained on pairs.h5 of other files")):
        study.write(**right | changes)
        assert f"refrain-study: {text}" in study.start().stderr
    for file in study.folder.rglob("*"):
        assert file.stat().st_mode & 0o077 == 0, f"{file} is not private"


def test_a_failure_stops_what_depends_on_it_and_a_rerun_goes_on(site):
    study = Study(site, "failing", ["en", "de"], ["de"])
    right = study.content["train_args"]
    study.write(train_args=f"{right} --warmup-ratio 2")
    study.run()
    wait_until(lambda: not study.queue(), "an empty queue", study.queue)
    # Slurm has cancelled what needed the training, and nothing else.
    begun = {file.name.split(".", 1)[1].rsplit("-", 1)[0] for file in (study.folder / "logs").glob("*.log")}
    assert begun == {"8b.shard", "8b.train.de", "8b.generate.base"}
    job = study.state()["8b/train/de"][0]["job"]
    log = next((study.folder / "logs").glob(f"*.8b.train.de-{job}_0.log"))
    assert "--warmup-ratio: 2 is out of range" in log.read_text()

    study.write(train_args=right)
    done = study.start()
    run = study.folder / "dpo_8b_de/beta=0.1,lr=1e-6,seed=42"
    why = "training ended with exit code 2: (n[0-9]+: )?--warmup-ratio: 2 is out of range .*"
    assert re.search(rf"warning: 8b/train/de: job {job}_0 failed: {why} " + re.escape(f"[{run}] (its log: {log})"),
                     done.stderr), done.stderr
    study.wait(site.root / "runs/failing.h5")
    study.check_complete()
    counts = {name: len(submissions) for name, submissions in study.state().items()}
    assert counts["8b/train/de"] == counts["archive"] == 2 and counts["8b/shard"] == counts["8b/generate/base"] == 1


@pytest.mark.skipif(not refrain.LONG, reason="REFRAIN_TEST_LONG=1 takes eight languages and four configurations")
def test_eight_languages_and_four_configurations_of_two_sizes_complete_though_ranks_are_killed(site):
    study = Study(site, "large", ["en", "de", "fr", "it", "es", "pt", "pl", "cs"],
                  ["high_resource", "english_only", "pl", "cs"], models=("8b", "70b"))
    study.run(REFRAIN_MAX_JOBS=9)
    wait_until(lambda: site.cluster.processes("refrain-train"), "training", study.queue)
    for node in (1, 2, 3):
        site.cluster.node(node, "pkill", "-KILL", "-x", "refrain-train")
    archive, runs = site.root / "runs/large.h5", 1
    while not archive.exists():
        wait_until(lambda: archive.exists() or not study.queue(), "an end", lambda: study.queue() + study.logs())
        if archive.exists():
            break
        assert runs < 4, study.logs()
        done = study.start(REFRAIN_MAX_JOBS=9)
        assert " failed" in done.stderr and "(its log: " in done.stderr, done.stdout + done.stderr
        runs += 1
    study.check_complete()
    # However often it was called, nothing that was made was made again.
    for name, submissions in study.state().items():
        assert len(submissions) == 1 or "/train/" in name or any(each["waited"] for each in submissions), name


@pytest.mark.skipif(not refrain.LONG, reason="REFRAIN_TEST_LONG=1 takes all of the paper's study: 73 jobs")
def test_the_paper_s_whole_study_completes_with_small_models(site):
    paper = json.loads((refrain.SOURCE / "slurm/studies/paper.json").read_text())
    study = Study(site, "paper", LANGUAGES, paper["configurations"], models=list(paper["models"]))
    study.run()
    study.wait(site.root / "runs/paper.h5", patience=1800)
    study.check_complete()
