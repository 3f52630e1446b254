"""A study on a project of stand-ins (study_project.py), with stand-ins of sbatch and squeue that keep a queue."""

import json
import os
import pathlib
import subprocess

import refrain
from study_project import executable, make_evaluation

MEMBER = "beta=0.1,lr=1e-6,seed=42"

# Numbers the jobs from 101 on and keeps them in the queue: "ID INDEX NAME DEPENDENCY" a line.
SBATCH = """#!/bin/sh
case "$* " in
  *--tiem=*--version*) echo "sbatch: unrecognized option '--tiem=2'" >&2; exit 255 ;;
  *--version*) echo "slurm-wlm 22.05.8"; exit ;;
esac
[ -n "$FAKE_SBATCH" ] && { echo "sbatch: error: $FAKE_SBATCH" >&2; exit 1; }
id=$((101 + $(wc -l < "$CALLS")))
echo "$@" >> "$CALLS"
name= array= after=
for word in "$@"; do
  case $word in --job-name=*) name=${word#*=} ;; --array=*) array=${word#*=} ;;
    --dependency=*) after=${word#*=} ;; esac
done
[ -n "$name" ] || name=$(basename "$word" .sh)
for index in $(echo "${array:-N/A}" | sed 's/%.*//; s/,/ /g'); do
  case $index in
    *-*) for each in $(seq "${index%-*}" "${index#*-}"); do echo "$id $each $name $after" >> "$QUEUE"; done ;;
    *) echo "$id $index $name $after" >> "$QUEUE" ;;
  esac
done
echo "$id;virtual"
"""
SQUEUE = """#!/bin/sh
while read -r id index name after; do echo "$id $index PENDING $id $name|${after:-(null)}"; done < "$QUEUE"
"""
SCANCEL = """#!/bin/sh
sed -i "/^$1 /d" "$QUEUE"
"""
SCONTROL = """#!/bin/sh
echo "MaxJobCount             = ${MAX_JOBS:-10000}"
echo "MaxArraySize            = ${MAX_ARRAY:-1001}"
"""
# Answers as the planner does: a GPU hour for a thousand pairs.
TRAIN = """#!/bin/sh
[ -n "$NO_PLAN" ] && { echo "refrain-train: $NO_PLAN" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case $1 in --plan-out) out=$2 ;; --plan-pairs) pairs=$2 ;; esac
  shift
done
cat > "$out" <<END
{"fits": true, "training_gpu_hours": $((pairs / 1000)), "reference_gpu_hours": 0.5, "final_bytes": 2000000000,
 "disk_bytes": 26000000000}
END
"""


class Project:
    """A study of one model and two configurations, as `content` says it, in a folder of its own."""

    def __init__(self, folder):
        self.root = make_evaluation(folder)
        self.file = self.root / "trial.json"
        self.folder = self.root / "runs/trial"
        self.calls, self.queue_file = self.root / "sbatch calls", self.root / "queue"
        for file in (self.calls, self.queue_file):
            file.write_text("")
        slurm = self.root / "slurm commands"
        slurm.mkdir()
        for name, text in {"sbatch": SBATCH, "squeue": SQUEUE, "scancel": SCANCEL, "scontrol": SCONTROL,
                           "sacctmgr": "#!/bin/sh\n"}.items():
            executable(slurm / name, text)
        executable(self.root / "bin/refrain-train", TRAIN)
        self.variables = {"REFRAIN_HOME": str(refrain.SOURCE), "PATH": f"{slurm}:{os.environ['PATH']}",
                          "CALLS": str(self.calls), "QUEUE": str(self.queue_file)}
        self.content = {
            "models": {"8b": str(self.root / "model")}, "configurations": ["balanced", "de"], "sweep": "paper",
            "pairs": str(self.root / "pairs 1.jsonl"), "prompts": str(self.root / "prompts.jsonl"),
            "judges": {"llama-guard-3": str(self.root / "guard"), "polyguard": str(self.root / "other guard"),
                       "refusal-pattern": None},
            "adjudicator": {"folder": str(self.root / "adjudicator")}}

    def start(self, *words, **variables):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "REFRAIN_"))}
        self.file.write_text(json.dumps(self.content))
        return subprocess.Popen(
            [self.root / "bin/refrain-study", "run", self.file, *words], cwd=self.root, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**kept, **self.variables, "REFRAIN_RUNS": str(self.root / "runs"), **variables})

    def run(self, *words, exit_code=0, **variables):
        process = self.start(*words, **variables)
        out, err = process.communicate(timeout=60)
        assert process.returncode == exit_code, out + err
        return out, err

    def submitted(self):
        """Names of what sbatch was called for since the last look, in order, each with its array and dependency."""
        found = []
        for line in self.calls.read_text().splitlines()[getattr(self, "seen", 0):]:
            words = dict(word.split("=", 1) for word in line.split(" ") if word.startswith("--") and "=" in word)
            name = words.get("--job-name", pathlib.Path(line.split(" ")[-1]).stem)  # the script's, for want of another
            found.append((name.split(".", 1)[-1], words.get("--array"), words.get("--dependency")))
        self.seen = len(self.calls.read_text().splitlines())
        return found

    def end(self, *names, log=None):
        """Takes jobs out of the queue: those of these names, or all. `log`: what their logs say, if they began."""
        left = []
        for line in self.queue_file.read_text().splitlines():
            job, index, name, *_ = line.split()
            if names and name.split(".", 1)[-1] not in names:
                left.append(line)
            elif log is not None:
                suffix = "" if index == "N/A" else f"_{index}"
                (self.folder / "logs" / f"{name}-{job}{suffix}.log").write_text(log)
        self.queue_file.write_text("".join(line + "\n" for line in left))

    def make(self, *stages, pairs=("balanced", "de")):
        """Puts there what these stages make."""
        runs = [self.folder / f"dpo_8b_{each}" / MEMBER for each in pairs]
        answered = [*runs, self.folder / "base/model"]
        touch = {"shard": [self.folder / f"dpo_8b_{each}" / "pairs.h5" for each in pairs]
                 + [self.folder / "base/model/prompts.h5"],
                 "train": [run / "final/manifest.json" for run in runs],
                 "generate": [folder / "responses.h5" for folder in answered],
                 "judge": [folder / f"verdicts/{name}.h5" for folder in answered
                           for name in ("llama-guard-3", "polyguard", "refusal-pattern")],
                 "adjudicate": [folder / "verdicts.h5" for folder in answered],
                 "report": [self.folder / "report/8b/report.html"], "archive": [self.root / "runs/trial.h5"]}
        for stage in stages:
            for file in touch[stage]:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("{}")
            if stage == "train":
                for run in runs:
                    (run / "status.json").write_text('{"state": "finished", "step": 9}')
                    (run / "run.json").write_text("{}")

    def record(self, work, command, ending="finished"):
        """A line of the record of starts of a run folder or an output: how a start with this command ended."""
        with pathlib.Path(f"{work}.starts.jsonl").open("a") as file:
            file.write(json.dumps({"time": "2026-01-31T12:00:00Z", "job": "", "host": "n1", "command": command, "exit": 0,
                                   "ending": ending}) + "\n")
