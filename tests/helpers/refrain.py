"""Runs the project's jobs as a user would, for the integration, peers and slurm tests."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(os.environ.get("REFRAIN_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("REFRAIN_BIN", SOURCE / "build/bin"))
LONG = os.environ.get("REFRAIN_TEST_LONG") == "1"
ROOT = os.geteuid() == 0


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


def run(job, *options, ranks=1, exit_code=0, timeout=300, cwd=None, binaries=None, **extra_environment):
    """Runs a job to its end and checks its exit code. Returns the finished process with its text."""
    done = subprocess.run(command(job, *options, ranks=ranks, binaries=binaries), env=environment(**extra_environment), cwd=cwd,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == exit_code, (
        f"refrain-{job} {' '.join(map(str, options))} at {ranks} ranks: exit {done.returncode}, wanted {exit_code}\n"
        f"{done.stdout}\n{done.stderr}")
    return done


def fails(job, *options, line, ranks=1, exit_code=1, **keywords):
    """Runs a job that must end with one line on stderr, `line` behind the program's name, and nothing else there."""
    done = run(job, *options, ranks=ranks, exit_code=exit_code, **keywords)
    lines = [text for text in done.stderr.splitlines() if text.startswith(f"refrain-{job}: ")]
    assert lines == [f"refrain-{job}: {line}"], done.stderr
    if ranks == 1:
        assert done.stderr.splitlines() == lines, done.stderr
    return done


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
