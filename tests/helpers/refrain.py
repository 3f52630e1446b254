"""Runs the project's jobs as a user would, for the integration, peers and slurm tests."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(os.environ.get("REFRAIN_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("REFRAIN_BIN", SOURCE / "build/bin"))
LONG = os.environ.get("REFRAIN_TEST_LONG") == "1"
ROOT = os.geteuid() == 0
NOBODY = 65534
LINES = set()  # (job, line without paths) of every bad input that was tried


def data(relative=""):
    """A file of the test data; skips the test where it is absent, but fails in CI."""
    path = pathlib.Path(os.environ.get("REFRAIN_TEST_DATA", SOURCE / "../shared/data")).resolve() / relative
    if not path.exists():
        message = f"{path} is absent: set REFRAIN_TEST_DATA to the folder of the test data"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def environment(**extra):
    """The environment of a run on this machine alone: one thread a rank, more ranks than cores allowed."""
    result = dict(os.environ)
    result.setdefault("OMP_NUM_THREADS", "1")
    result.update(OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_hwloc_base_binding_policy="none",
                  OMPI_MCA_mpi_yield_when_idle="1")
    if ROOT:
        result.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    result.update({key: str(value) for key, value in extra.items()})
    return result


def command(job, *options, ranks=1, binaries=None):
    """The words of a command line; with ranks=1 there is no launcher, as a user at a desk would start it."""
    words = [str((binaries or BIN) / f"refrain-{job}"), *map(str, options)]
    return words if ranks == 1 else [os.environ.get("REFRAIN_TEST_MPIRUN", "mpirun"), "-n", str(ranks), *words]


def run(job, *options, ranks=1, exit_code=0, timeout=300, cwd=None, binaries=None, unprivileged=False,
        **extra_environment):
    """Runs a job to its end and checks its exit code. Returns the finished process with its text.
    `unprivileged`: as a user that file permissions bind (see `hand_over`)."""
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if unprivileged and ROOT else {}
    done = subprocess.run(command(job, *options, ranks=ranks, binaries=binaries), env=environment(**extra_environment),
                          cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="backslashreplace",
                          timeout=timeout, **user)
    assert done.returncode == exit_code, (
        f"refrain-{job} {' '.join(map(str, options))} at {ranks} ranks: exit {done.returncode}, wanted {exit_code}\n"
        f"{done.stdout}\n{done.stderr}")
    return done


def hand_over(folder):
    """Gives a folder to the user of `unprivileged` runs, with all that it holds, and lets it pass the folders above."""
    if not ROOT:
        return
    folder = pathlib.Path(folder)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if mode & 0o001:
            break
        parent.chmod(mode & 0o777 | 0o001)


def check_line(job, said, line, launched=False):
    """Checks that a job's stderr ends with `line` behind the program's name. Before it stand only the job's own
    messages, with their time; behind it nothing but the remark of a launcher."""
    lines = said.splitlines()
    while lines and re.match(r"\d\d:\d\d:\d\d ", lines[0]):
        lines.pop(0)
    assert lines[:1] == [f"refrain-{job}: {line}"], said
    assert launched or len(lines) == 1, said
    assert not any(text.startswith("refrain-") for text in lines[1:]), said
    LINES.add((job, re.sub(r"\S*/\S*", "", line)))


def fails(job, *options, line, ranks=1, exit_code=1, **keywords):
    """Runs a job that must end with one line on stderr, and nothing but its progress before it."""
    done = run(job, *options, ranks=ranks, exit_code=exit_code, **keywords)
    check_line(job, done.stderr, line, launched=ranks > 1)
    return done


# Of a metrics row, what depends on time, machine and layout: all else is the run's result.
NOT_THE_RESULT = {"pairs_per_second", "tokens_per_second", "step_seconds", "peak_memory_bytes", "mfu", "eval_seconds",
                  "sent_bytes/parameters", "sent_bytes/gradients", "sent_bytes/activations"}


def metrics(run_dir, prefix=""):
    """Rows of metrics.jsonl; evaluation rows only with prefix 'eval_'."""
    rows = [json.loads(text) for text in (pathlib.Path(run_dir) / "metrics.jsonl").read_text().splitlines()]
    is_eval = [any(key.startswith("eval_") for key in row) for row in rows]
    return [row for row, evaluation in zip(rows, is_eval) if evaluation == bool(prefix)]


def copy_folder(source, target):
    """A writable copy."""
    shutil.copytree(source, target)
    for path in pathlib.Path(target).rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return pathlib.Path(target)


def stories_with_template(target):
    """The small trained model, given the llama-2 template, so that preference pairs can be rendered for it."""
    folder = copy_folder(data("stories260K/hf"), target)
    (folder / "chat_template.jinja").write_text(data("templates/llama-2.jinja").read_text())
    return folder
