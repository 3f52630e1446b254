"""A virtual cluster and a site on it, for the tests of this folder."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import pytest
import refrain

SCRIPT = pathlib.Path(__file__).parent / "virtual_cluster.sh"
LANGUAGES = "en de fr it es pt pl cs sk sl lt lv".split()
PATIENCE = 240  # seconds for anything that a job does on a machine that others use too


class Cluster:
    """A Slurm of its own; `with` stops it, and so does the end of this process."""

    def __init__(self, *options):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="refrain-cluster-"))
        done = subprocess.run([SCRIPT, "start", self.folder, "--owner", str(os.getpid()), *map(str, options)],
                              capture_output=True, text=True, timeout=120)
        if done.returncode == 77:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([SCRIPT, "stop", self.folder], check=True, timeout=60)

    def login(self, *words, check=True, **keywords):
        done = subprocess.run([SCRIPT, "exec", self.folder, *map(str, words)], capture_output=True, text=True,
                              timeout=60, **keywords)
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def node(self, number, *words):
        done = subprocess.run([SCRIPT, "node", self.folder, str(number), *map(str, words)], capture_output=True,
                              text=True, timeout=60)
        return done.stdout

    def switch(self, number, on):
        """Gives node `number` its power, or takes it."""
        subprocess.run([SCRIPT, "on" if on else "off", self.folder, str(number)], check=True, timeout=60)

    def cut(self, numbers, cut=True):
        """These nodes no longer hear each other, while the login host and all others hear them; or do again."""
        for number in numbers:
            self.login("ip", "link", "set", f"vn{number}", "type", "bridge_slave", "isolated", "on" if cut else "off")

    def record(self, job):
        """What scontrol knows of a job as a dictionary; of an array's member by ARRAY_INDEX."""
        text = self.login("scontrol", "show", "job", job).split("\n\n")[0]
        return dict(re.findall(r"(?:^|\s)([A-Za-z/]+)=(\S*)", text))

    def wait(self, job, *states):
        """Waits until the job is in one of the states."""
        return wait_until(lambda: self.record(job)["JobState"] in states and self.record(job), f"{job} in {states}",
                          lambda: self.record(job))

    def processes(self, name):
        """How many processes of this name run on all nodes."""
        nodes = len(self.login("sinfo", "-h", "-N", "-o", "%n").split())
        return sum(len(self.node(number + 1, "pgrep", "-x", name).split()) for number in range(nodes))


def wait_until(condition, what, state=lambda: "", patience=PATIENCE):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.3)
    pytest.fail(f"not within {patience} s: {what}; {state()}")


class Site:
    """A project's folder with its site file, a small model, and pairs in twelve languages. Every path holds a space."""

    def __init__(self, root, cluster):
        self.cluster = cluster
        self.root = pathlib.Path(root) / "a site"
        self.home = self.root / "refrain"
        self.submit_folder = self.root / "somewhere else"
        for folder in (self.home / "build", self.home / "env", self.submit_folder):
            folder.mkdir(parents=True)
        shutil.copytree(refrain.SOURCE / "slurm", self.home / "slurm")
        (self.home / "build/bin").symlink_to(refrain.BIN)
        self.model = refrain.stories_with_template(self.root / "model")
        self.pairs = self.root / "pairs.jsonl"
        self.pairs.write_text("".join(json.dumps(row) + "\n" for row in placeholder_pairs(4)))
        (self.home / "env/site.sh").write_text(f"""
            export REFRAIN_MODEL='{self.model}' REFRAIN_PAIRS='{self.pairs}' REFRAIN_RUNS='{self.root}/runs'
            export REFRAIN_TRAIN_ARGS='--max-steps 4 --global-batch-pairs 16 --checkpoint-every 2'
            export OMPI_MCA_mpi_yield_when_idle=1  # more ranks than cores
        """)

    def prepare_evaluation(self, prompts):
        """Evaluation prompts, `prompts` a language, and judges: random models that answer with one of two words each, so
        that they differ now and then. The variables that name them."""
        file = self.root / "prompts.jsonl"
        file.write_text("".join(json.dumps({"prompt": f"{language}: tell of restricted activity {row}",
                                            "lang": language, "row_id": row, "category": "S1"}) + "\n"
                                for language in LANGUAGES for row in range(prompts)))
        config = self.root / "guard.config.json"
        config.write_text(json.dumps({**json.loads((self.model / "config.json").read_text()),
                                      "initializer_range": 0.2}))
        judges = []
        for seed, name in enumerate(("guard-one", "guard-two", "arbiter")):
            definition = self.root / f"{name}.json"
            definition.write_text(json.dumps({
                "name": name, "about": "Of the test.", "kind": "safety",
                "ask": {"user": ["{prompt}", "{response}"], "max_tokens": 2},
                "read": {"label_tokens": {"safe": "the", "unsafe": "and"}}}))
            refrain.run("convert", "init", "--model-config", config, "--tokenizer", self.model, "--seed", seed,
                        "--out", self.root / name)
            judges.append(f"'{definition}={self.root / name}'")
        return {"REFRAIN_PROMPTS": file, "REFRAIN_GUARDS": f"{judges[0]} {judges[1]} refusal-pattern",
                "REFRAIN_ADJUDICATOR": judges[2]}

    def submit(self, script, *options, **variables):
        """The job's id. `variables` are what the submitting shell exports."""
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("SLURM_", "SBATCH_", "REFRAIN_"))}
        return self.cluster.login("sbatch", "--parsable", *options, self.home / "slurm" / f"{script}.sh",
                                  cwd=self.submit_folder,
                                  env={**kept, **{name: str(value) for name, value in variables.items()}}).strip()

    def run_dir(self, script, learning_rate="1e-6", runs="runs"):
        return self.root / runs / script / f"beta=0.1,lr={learning_rate},seed=42"

    def log(self, script, job, index=None):
        """Text of the log, empty before there is one."""
        file = self.submit_folder / f"{script}-{job}{'' if index is None else f'_{index}'}.log"
        return file.read_text() if file.exists() else ""


def site_on(*options):
    """A fixture: a site on a cluster of its own, for all tests of a file."""
    @pytest.fixture(scope="module")
    def site(tmp_path_factory):
        with Cluster(*options) as cluster:
            yield Site(tmp_path_factory.mktemp("site"), cluster)
    return site


def placeholder_pairs(count):
    for language in LANGUAGES:
        for row in range(count):
            yield {"prompt": [{"role": "user", "content": f"{language}: how does restricted activity {row} work"}],
                   "chosen": [{"role": "assistant", "content": f"I do not help with restricted activity {row}."}],
                   "rejected": [{"role": "assistant",
                                 "content": f"Here is restricted activity {row}, step by step: one, two."}],
                   "lang": language, "row_id": row, "category": "S1"}


def status(run_dir):
    file = run_dir / "status.json"
    return json.loads(file.read_text()) if file.exists() else {"state": None, "step": 0}


def wait_for_step(run_dir, step):
    wait_until(lambda: status(run_dir)["step"] >= step, f"step {step} of {run_dir}", lambda: status(run_dir))


def starts(run_dir):
    return [json.loads(line) for line in pathlib.Path(f"{run_dir}.starts.jsonl").read_text().splitlines()]


def first_steps(run_dir):
    """Steps that were done already when training started, for each start."""
    return [start["first_step"] for start in json.loads((run_dir / "run.json").read_text())["starts"]]


def weights(run_dir, folder):
    """Tensors of final/, as refrain-convert exports them to `folder`: name -> shape and bytes."""
    refrain.run("convert", "verify", run_dir)
    refrain.run("convert", "export", "--checkpoint", run_dir / "final", "--out", folder)
    return read_tensors(folder)


def read_tensors(folder):
    import safetensors.torch
    tensors = {}
    for file in sorted(pathlib.Path(folder).glob("*.safetensors")):
        tensors.update(safetensors.torch.load_file(file))
    assert tensors
    return {name: (tuple(tensor.shape), tensor.numpy().tobytes()) for name, tensor in tensors.items()}
