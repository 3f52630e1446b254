"""A project's folder for the tests of refrain-study away from Slurm and MPI: small stand-ins for the programs that it
starts, and for Slurm's commands, that write down how they were called."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import refrain

STUDY = "dpo_8b_balanced"
MEMBERS = ["beta=0.1,lr=1e-6,seed=42", "beta=0.1,lr=5e-7,seed=42"]

SHARD = """#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" = --out ] && out=$2; shift; done
echo shard >> "$CALLS"
sleep 0.3
[ "$FAKE" = shard-fails ] && { printf %s "$SAYS" >&2; exit 3; }
echo pairs > "$out"
"""

# Writes status.json as refrain-train does, sealed by its own digest.
TRAIN = f"""#!{sys.executable}
import hashlib, json, os, pathlib, signal, sys, time
words = sys.argv[1:]
run = pathlib.Path(words[words.index("--run-dir") + 1])
if os.environ.get("FAKE") == "refused": sys.exit(2)
run.mkdir(parents=True, exist_ok=True)
(run / "run.json").write_text("{{}}")
open(os.environ["CALLS"], "a").write("train " + json.dumps(words) + "\\n")
status = run / "status.json"
def say(state, step):
    text = json.dumps({{"state": state, "step": step, "error": None}}, indent=2)[:-2] + ",\\n  "
    text += '"sha256": "' + hashlib.sha256(text.encode()).hexdigest() + '"\\n}}\\n'
    status.write_text(text)
def stop(*_):
    say("stopped", step)
    os._exit(int(os.environ.get("STOP_CODE", 85)))
signal.signal(signal.SIGUSR1, stop)
step = json.loads(status.read_text())["step"] if status.exists() else 0
fake = os.environ.get("FAKE", "")
print(end=os.environ.get("SAYS", ""), file=sys.stderr, flush=True)
if fake == "fail": sys.exit(1)
if fake == "refuse": sys.exit(2)
if fake == "killed early": os.kill(os.getpid(), signal.SIGKILL)
say("running", step)
if fake == "killed": os.kill(os.getpid(), signal.SIGKILL)
if fake == "wait":
    if os.environ.get("PROGRESS") == "1": step += 1
    pathlib.Path(os.environ["CALLS"] + ".pid").write_text(str(os.getpid()))
    open(os.environ["CALLS"], "a").write("waiting\\n")
    time.sleep(60)
say("finished", 9)
(run / "final").mkdir(exist_ok=True)
(run / "final" / "manifest.json").write_text("{{}}")
"""


# Keeps a row in OUT.parts where it is stopped, else makes OUT; judges do so for all of their outputs at once. FAKE names
# the program, or for waiting the judge.
ROWS = f"""#!{sys.executable}
import json, os, pathlib, signal, sys, time
program, words = pathlib.Path(sys.argv[0]).name.removeprefix("refrain-"), sys.argv[1:]
open(os.environ["CALLS"], "a").write(program + " " + json.dumps(words) + "\\n")
begin = words.index("--out") + 1
outs = []
for word in words[begin:]:
    if word.startswith("--"): break
    outs.append(pathlib.Path(word))
def kept(out): return pathlib.Path(f"{{out}}.parts")
def finish(code):
    for out in outs:
        kept(out).mkdir(exist_ok=True)
        with open(kept(out) / "rank-0", "a") as part: part.write("row\\n" * int(os.environ.get("ROWS", 1)))
    os._exit(code)
signal.signal(signal.SIGUSR1, lambda *_: finish(int(os.environ.get("STOP_CODE", 85))))
fake = os.environ.get("FAKE", "")
if fake == "fail " + program: sys.exit(1)
if fake == "refuse " + program: sys.exit(2)
if fake == "kill " + program: os.kill(os.getpid(), signal.SIGKILL)
if fake in ("wait " + program, "wait " + words[1]):
    open(os.environ["CALLS"], "a").write("waiting\\n")
    time.sleep(60)
for out in outs: out.write_text("rows\\n")
"""

REPORT = """#!/bin/sh
echo "report" "$@" >> "$CALLS"
[ "$FAKE" = "slow report" ] && echo waiting >> "$CALLS" && sleep 1 && echo written >> "$CALLS"
[ "$FAKE" != "fail report" ]
"""


def make_project(folder):
    """A folder with a space in its name that holds everything one member needs."""
    root = folder / "a project"
    (root / "bin").mkdir(parents=True)
    model_folder(root / "model")
    shutil.copy(refrain.BIN / "refrain-study", root / "bin")
    for name, text in {"shard": SHARD, "train": TRAIN, "generate": ROWS, "judge": ROWS, "report": REPORT}.items():
        executable(root / "bin" / f"refrain-{name}", text)
    (root / "pairs 1.jsonl").write_text("{}\n")
    return root


def model_folder(folder):
    """A folder that looks like a model's."""
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")


def executable(file, text):
    file.write_text(text)
    file.chmod(0o755)


def environment(root, **extra):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "REFRAIN_"))}
    return {**kept, "REFRAIN_HOME": str(refrain.SOURCE), "REFRAIN_MODEL": str(root / "model"),
            "REFRAIN_PAIRS": str(root / "pairs 1.jsonl"), "REFRAIN_RUNS": str(root / "runs"),
            "CALLS": str(root / "calls"), "REFRAIN_LAUNCHER": "env", **extra}


def calls(root):
    file = root / "calls"
    return file.read_text().splitlines() if file.exists() else []


def wait_for(project, line):
    """Waits until a stand-in has written this line."""
    for _ in range(200):
        if line in calls(project):
            return
        time.sleep(0.05)
    pytest.fail(f"no {line!r} in {calls(project)}")


FAKE_SLURM = {
    "scontrol": """#!/bin/sh
echo "scontrol $*" >> "$CALLS"
away=$CALLS.controller-is-away
if [ -e "$away" ]; then
  rm "$away"
  echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2
  exit 1
fi
[ "$1" != show ] || printf 'JobId=7 JobName=x\\n   JobState=%s Reason=None Restarts=%s\\n   Command=%s\\n' \\
  "${JOB_STATE:-RUNNING}" "${RESTARTS:-0}" "/home/a b/slurm/x.sh"
[ "$1" = requeue ] || exit 0
[ "$REQUEUE" != kills ] || kill -TERM $$
[ "$REQUEUE" != refused ]
""",
    "sbatch": """#!/bin/sh
echo "sbatch $*" >> "$CALLS"
env | grep '^SLURM_' >> "$CALLS"
echo 99
""",
}


def fake_slurm(project):
    """Puts stand-ins of Slurm's commands into the project. The variables of an array's member."""
    for name, text in FAKE_SLURM.items():
        executable(project / name, text)
    return {"PATH": f"{project}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "6",
            "SLURM_ARRAY_TASK_ID": "1", "SLURM_TASKS_PER_NODE": "4", "SLURM_JOB_CPUS_PER_NODE": "8",
            "SLURM_CONF": "/etc/slurm.conf"}


# --- what follows training; test files import `project`, `slurm` and `trained` as their fixtures


def make_evaluation(folder):
    """A project with prompts, two guards and an adjudicator."""
    root = make_project(folder)
    (root / "prompts.jsonl").write_text('{"prompt": "restricted activity 17"}\n')
    for name in ("guard", "other guard", "adjudicator"):
        model_folder(root / name)
    (root / "lid.ftz").write_text("")
    return root


def make_trained(folder):
    """One of which both members of the default sweep have been trained."""
    root = make_evaluation(folder)
    for index in (0, 1):
        study(root, "member", STUDY, "--index", index)
    (root / "calls").unlink()
    return root


@pytest.fixture
def project(tmp_path):
    return make_evaluation(tmp_path)


@pytest.fixture
def slurm(project):
    return fake_slurm(project)


@pytest.fixture
def trained(tmp_path):
    return make_trained(tmp_path)


def variables(root, extra):
    return {"REFRAIN_STUDY": STUDY, "REFRAIN_PROMPTS": str(root / "prompts.jsonl"),
            "REFRAIN_GUARDS": f"llama-guard-3='{root}/guard' polyguard='{root}/other guard'", **extra}


def start(root, *words, **extra):
    return subprocess.Popen([root / "bin/refrain-study", *map(str, words)], cwd=root, text=True,
                            env=environment(root, **variables(root, extra)), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def study(root, *words, exit_code=0, **extra):
    process = start(root, *words, **extra)
    out, err = process.communicate(timeout=60)
    assert process.returncode == exit_code, err
    return out, err


def run_dir(root, member=0, study=STUDY):
    return root / "runs" / study / MEMBERS[member]


def base(root):
    return root / "runs/base/model"


def words_of(root, program):
    """The command lines that a stand-in got."""
    return [json.loads(line.removeprefix(f"{program} ")) for line in calls(root) if line.startswith(f"{program} ")]


def answer_all(root, **extra):
    for index in (0, 1, 2):
        study(root, "generate", "--index", index, **extra)


def stop(process):
    """As Slurm does before a job's time is up. Its exit code and what it said."""
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=20)
    return process.returncode, err


def wait_until_said(process, words):
    """Waits for a line on stderr that has these words. Returns it."""
    for line in process.stderr:
        if words in line:
            return line
    pytest.fail(f"it ended without {words!r}")
