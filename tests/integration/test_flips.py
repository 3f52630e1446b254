"""Bit flips and truncations anywhere in any file of a run: verify finds every one that changes what a reader sees.

What a reader sees is taken here by other means: h5py and Python's json, and the bytes of small files.
"""

import hashlib
import json
import random
import shutil
import subprocess

import h5py
import numpy as np
import pytest
from models import make_model
from refrain import BIN, LONG, command, data, environment, run, stories_with_template
from small_runs import train_to

FLIPS, CUTS = (1000, 50) if LONG else (60, 10)


def hdf5_view(path):
    """Names, types, shapes, values and attributes, as one digest."""
    digest = hashlib.sha256()

    def visit(name, item):
        digest.update(repr(name).encode())
        for key in sorted(item.attrs):
            digest.update(repr((key, np.asarray(item.attrs[key]).tobytes())).encode())
        if isinstance(item, h5py.Dataset):
            digest.update(repr((item.shape, item.dtype.str)).encode())
            raw = np.empty(item.shape, dtype=item.dtype)
            if raw.size:
                item.id.read(h5py.h5s.ALL, h5py.h5s.ALL, raw, item.id.get_type())
            digest.update(raw.tobytes())

    with h5py.File(path, "r", locking=False) as file:
        visit("/", file)
        file.visititems(visit)
    return digest.hexdigest()


def view(path):
    """None where a reader meets an error."""
    try:
        if path.suffix == ".h5":
            return hdf5_view(path)
        if path.name in ("manifest.json", "run.json", "status.json", "eval.json", "settings.json"):
            value = json.loads(path.read_text())
            return json.dumps({key: value[key] for key in value if key != "sha256"})
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
        return path.read_bytes()
    except Exception:  # any error is one that the reader sees
        return None


def check_damage(folder, path, seed):
    """Damages `path` in place, again and again, and puts it back. `folder` is what verify is given."""
    generator = random.Random(seed)
    before = path.read_bytes()
    seen = view(path)
    assert seen is not None
    damages = [("flip", generator.randrange(8 * len(before))) for _ in range(FLIPS)]
    damages += [("cut", generator.randrange(len(before))) for _ in range(CUTS)]
    found = 0
    try:
        for kind, at in damages:
            if kind == "flip":
                text = bytearray(before)
                text[at // 8] ^= 1 << at % 8
            else:
                text = before[:at]
            path.write_bytes(text)
            done = subprocess.run(command("convert", "verify", folder), env=environment(), capture_output=True,
                                  text=True)
            assert done.returncode in (0, 1), (kind, at, done.stderr)
            if done.returncode == 0:
                assert view(path) == seen, f"{kind} at {at} of {path} changes what is read and was not found"
            else:
                assert path.name in done.stderr, (kind, at, done.stderr)
                found += 1
    finally:
        path.write_bytes(before)
    assert found >= CUTS
    return found


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run with a resumable checkpoint (stopped early) and one with final/, in miniature."""
    if not (BIN / "refrain-train").exists() or not (BIN / "refrain-shard").exists():
        pytest.skip("refrain-train is not built here")
    folder = tmp_path_factory.mktemp("flips")
    model = stories_with_template(folder / "model")
    pairs = sorted(data("preferences").glob("*.jsonl"))[:1]
    run("shard", "--pairs", *pairs, "--tokenizer", model, "--configuration", "all", "--max-length", 128,
        "--out", folder / "pairs.h5")
    options = ["--pairs", folder / "pairs.h5", "--init", model, "--global-batch-pairs", 4, "--max-steps", 3]
    run("train", *options, "--run-dir", folder / "done", "--eval-pairs", folder / "pairs.h5",
        "--reference-cache", folder / "cache")
    train_to(1, *options, "--run-dir", folder / "stopped")
    return folder


def files_of(folder):
    return [path for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.is_symlink() and path.name != "lock"]


def test_checkpoint(tmp_path):
    model = make_model(tmp_path / "model", vocab_size=257)
    (model / "tokenizer_config.json").write_text('{"model_max_length": 128, "name": "é"}\n')
    run("convert", "import", "--model", model, "--out", tmp_path / "ck")
    for seed, path in enumerate(files_of(tmp_path / "ck")):
        check_damage(tmp_path / "ck", path, seed)


def test_run(run_folder):
    for seed, path in enumerate(files_of(run_folder / "done")):
        check_damage(run_folder / "done", path, 100 + seed)
    check_damage(run_folder / "pairs.h5", run_folder / "pairs.h5", 99)


def test_reference_cache(run_folder):
    files = files_of(run_folder / "cache")
    assert {path.suffix for path in files} == {".h5", ".json"}
    for seed, path in enumerate(files):
        check_damage(run_folder / "cache", path, 300 + seed)


def test_resumable_checkpoint(tmp_path, run_folder):
    """The optimizer's files."""
    step = shutil.copytree((run_folder / "stopped/checkpoints/latest").resolve(), tmp_path / "step")
    assert list(step.glob("optimizer-*.h5"))
    for seed, path in enumerate(files_of(step)):
        check_damage(step, path, 200 + seed)
