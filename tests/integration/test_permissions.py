"""What may not be read or written, as a user without privileges: each job ends with its one line and leaves nothing."""

import json

import pytest

import small_runs
from disks import read_only_disk
from models import make_model
from refrain import BIN, fails, hand_over

VOCABULARY = 101
NO_FOLDER = "cannot make the folder: {reason} [{out}.tmp] (check the path and its permissions)"
CANNOT_WRITE = {
    "import": NO_FOLDER,
    "export": NO_FOLDER,
    "init": NO_FOLDER,
    "shard": "cannot create the file: {reason} [{out}] (check that the folder exists, may be written and has space)",
    "train": "the run folder cannot be made: {reason} [{out}] (name another with --run-dir)",
}


@pytest.fixture
def folder(tmp_path):
    """The unprivileged user's own: model/, pairs.jsonl of token ids, pairs.known/ (their tokenizer), and pairs.h5."""
    make_model(tmp_path / "model", vocab_size=VOCABULARY)
    small_runs.write_pairs(tmp_path / "pairs.h5", 8, vocabulary=VOCABULARY)
    hand_over(tmp_path)
    return tmp_path


def words(action, folder, out):
    """The command line of a job that would succeed: its name and its options."""
    model, pairs = folder / "model", folder / "pairs.h5"
    if action == "train" and not (BIN / "refrain-train").exists():
        pytest.skip("refrain-train is not built here")
    return {
        "import": ["convert", "import", "--model", model, "--out", out],
        "export": ["convert", "export", "--checkpoint", model, "--out", out],
        "init": ["convert", "init", "--model-config", model / "config.json", "--seed", 1, "--out", out],
        "verify": ["convert", "verify", pairs],
        "shard": ["shard", "--pairs", folder / "pairs.jsonl", "--tokenizer", folder / "pairs.known",
                  "--configuration", "all", "--out", out],
        "train": ["train", *small_runs.options(model, pairs, out)],
    }[action]


@pytest.mark.parametrize("action, name, option", [
    ("import", "model/model.safetensors", None),
    ("import", "model/config.json", None),
    ("import", "model", "--model"),
    ("verify", "pairs.h5", None),
    ("shard", "pairs.jsonl", "--pairs"),
    ("shard", "pairs.known/config.json", None),
    ("shard", "pairs.known", "--tokenizer"),
    ("train", "pairs.h5", "--pairs"),
    ("train", "model/model.safetensors", None),
    ("train", "model", "--init"),
])
def test_no_permission_to_read(folder, action, name, option):
    path, out = folder / name, folder / "out"
    mode = path.stat().st_mode
    what = f"the {'folder' if path.is_dir() else 'file'} that {option} names" if option else "the file"
    path.chmod(0)
    fails(*words(action, folder, out), unprivileged=True,
          line=f"cannot read {what}: Permission denied [{path}] (check who owns it and its permissions)")
    path.chmod(mode)
    assert not list(folder.rglob("*.tmp"))
    assert not out.exists() or json.loads((out / "status.json").read_text())["state"] == "failed"  # the run had begun


@pytest.mark.parametrize("action", CANNOT_WRITE)
def test_no_permission_to_write(folder, action):
    closed = folder / "closed"
    closed.mkdir(mode=0o555)
    out = closed / "out"
    line = CANNOT_WRITE[action].format(reason="Permission denied", out=out)
    fails(*words(action, folder, out), line=line, unprivileged=True)
    assert not list(closed.iterdir())


@pytest.mark.parametrize("action", CANNOT_WRITE)
def test_read_only_disk(folder, action):
    with read_only_disk(folder / "disk") as disk:
        out = disk / "out"
        line = CANNOT_WRITE[action].format(reason="Read-only file system", out=out)
        fails(*words(action, folder, out), line=line, unprivileged=True)
        assert not list(disk.iterdir())
