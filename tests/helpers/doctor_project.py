"""A project that the doctor finds nothing wrong with, away from MPI, Slurm and GPUs, and stand-ins for their
commands."""

import json
import math
import os
import shutil
import struct
import subprocess

import refrain
from study_project import executable

# Ranks that ask for a world of N find it where the launcher said so.
PROGRAM = """#!/bin/sh
if [ "$1" = --version ]; then printf 'refrain-{name} {version}\\n  libtorch 2.13.0\\n  HDF5 1.10.8\\n{more}'; exit; fi
if [ -n "$REFRAIN_CHECK_DEVICES" ] && [ -n "$NO_NCCL" ]; then
  echo "refrain-train: NCCL: unhandled system error" >&2; exit 1
fi
[ "${{WORLD:-1}}" = "$REFRAIN_CHECK_WORLD" ] && exit
echo "refrain-{name}: MPI has ${{WORLD:-1}} ranks instead of $REFRAIN_CHECK_WORLD" >&2
exit 1
"""

MPIRUN = """#!/bin/sh
export WORLD=$2
shift 2
exec "$@"
"""

# Starts a program once a task, each with its number; SINGLETONS: without telling them of each other.
SRUN = """#!/bin/sh
if [ "$1" = --mpi=list ]; then echo "MPI plugin types are..."; echo "${MPI_TYPES-none pmix}"; exit; fi
tasks=1
while :; do
  case $1 in
    --ntasks=*) tasks=${1#*=} ;;
    --*) ;;
    *) break ;;
  esac
  shift
done
[ -n "$SINGLETONS" ] || export WORLD=$tasks
task=0
while [ $task -lt "${LIVING:-$tasks}" ]; do
  SLURM_PROCID=$task "$@" || exit
  task=$((task + 1))
done
"""

SCONTROL = """#!/bin/sh
if [ -n "$SILENT" ]; then echo "slurm_load_ctl_conf error: Unable to contact slurm controller" >&2; exit 1; fi
case $2 in
  config) cat "$CONFIG" ;;
  job) echo "JobId=7 JobName=x"; echo "   Requeue=${REQUEUE:-1} TimeLimit=01:00:00" ;;
esac
"""

CONFIG = {"AuthInfo": "cred_expire=10", "ClusterName": "virtual", "DefMemPerNode": "UNLIMITED", "JobRequeue": "1",
          "KillWait": "30 sec", "MaxArraySize": "1001", "MpiDefault": "none", "PreemptMode": "OFF",
          "SelectTypeParameters": "CR_CPU", "SlurmdTimeout": "300 sec", "SLURM_VERSION": "22.05.8"}


class Project:
    def __init__(self, folder):
        self.root = folder / "a project"
        self.tools, self.bin, self.runs = self.root / "tools", self.root / "bin", self.root / "runs"
        for each in (self.tools, self.bin, self.runs, self.root / "model"):
            each.mkdir(parents=True)
        shutil.copy(refrain.BIN / "refrain-study", self.bin)
        said = subprocess.run([self.bin / "refrain-study", "--version"], capture_output=True, text=True, check=True)
        self.version = said.stdout.splitlines()[0].removeprefix("refrain-study ")
        for name in ("convert", "shard", "train", "generate", "judge", "report", "archive"):
            self.program(name)
        for name in ("timeout", "sh", "cat", "env", "hostname", "sleep"):  # the machine's own Slurm stays out
            (self.tools / name).symlink_to(shutil.which(name))
        executable(self.tools / "mpirun", MPIRUN)
        self.write_model(1024)
        (self.root / "pairs.jsonl").write_text("{}\n")
        self.variables = {"PATH": str(self.tools), "REFRAIN_HOME": str(refrain.SOURCE),
                          "REFRAIN_MODEL": str(self.root / "model"), "REFRAIN_PAIRS": str(self.root / "pairs.jsonl"),
                          "REFRAIN_RUNS": str(self.runs), "REFRAIN_DISK_TB": "0.001"}

    def program(self, name, version=None, more=""):
        executable(self.bin / f"refrain-{name}", PROGRAM.format(name=name, version=version or self.version, more=more))

    def write_model(self, parameters):
        """One matrix, square: `parameters` has a whole root."""
        side = math.isqrt(parameters)
        header = json.dumps({"model.layers.0.self_attn.q_proj.weight": {
            "dtype": "F32", "shape": [side, side], "data_offsets": [0, 4 * parameters]}})
        (self.root / "model/model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header.encode())
        for name in ("config.json", "tokenizer.json"):
            (self.root / "model" / name).write_text("{}")

    def slurm(self, **settings):
        """Puts Slurm's commands into PATH, with settings that differ."""
        executable(self.tools / "srun", SRUN)
        executable(self.tools / "scontrol", SCONTROL)
        executable(self.tools / "sbatch", "#!/bin/sh\n")
        lines = [f"{key:<23} = {value}" for key, value in (CONFIG | settings).items()]
        (self.root / "slurm config").write_text("Configuration data as of 2026-01-31T12:00:00\n" + "\n".join(lines))
        self.variables["CONFIG"] = str(self.root / "slurm config")

    def job(self, nodes=2, tasks=2, cpus=4):
        """The variables of a job that has them on each node."""
        self.variables |= {"SLURM_JOB_ID": "7", "SLURM_TASKS_PER_NODE": f"{tasks}(x{nodes})",
                           "SLURM_JOB_CPUS_PER_NODE": f"{cpus}(x{nodes})"}

    def doctor(self, *words, exit_code=None, unprivileged=False, **variables):
        """What it printed."""
        user = {"user": refrain.NOBODY, "group": refrain.NOBODY, "extra_groups": []}
        done = subprocess.run([self.bin / "refrain-study", "doctor", *words], capture_output=True, text=True,
                              env={**self.variables, **variables}, timeout=60,
                              **(user if unprivileged and refrain.ROOT else {}))
        assert done.stderr == "", done.stderr
        broken = sum(line.startswith("broken ") for line in done.stdout.splitlines())
        assert done.returncode == (1 if broken else 0) if exit_code is None else exit_code, done.stdout
        return done.stdout


def lines_of(text, *words):
    return [line for line in text.splitlines() if line.split()[0] in words]


def only_broken(project, line, **variables):
    """One thing is broken, and this is its line."""
    text = project.doctor(**variables)
    assert lines_of(text, "broken") == [f"broken   {line}"], text
    refrain.LINES.add(("doctor", line.partition(" [")[0]))


def only_warning(project, line, **variables):
    text = project.doctor(**variables)
    assert lines_of(text, "broken", "warning") == [f"warning  {line}"], text
