"""Reference log-probabilities that runs share: computed once, found by content, and never another model's."""

import json
import os
import random
import re
import shutil
import signal
import stat

import h5py
import numpy as np
import pytest

import checkpoints
from processes import Running
from refrain import fails, hand_over, metrics, run
from small_runs import options, write_model, write_pairs

COUNT = 24


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A model, its pairs, a run without a cache, and the cache of an equal run."""
    folder = tmp_path_factory.mktemp("cache")
    model, pairs = write_model(folder / "model"), write_pairs(folder / "pairs.h5", COUNT)
    run("train", *options(model, pairs, folder / "plain", steps=4))
    first = run("train", *options(model, pairs, folder / "first", steps=4), "--reference-cache", folder / "cache")
    return {"folder": folder, "model": model, "pairs": pairs, "cache": folder / "cache", "first": first}


def hits(text):
    """(found, wanted, held) of the line that a run says of its cache."""
    found = re.search(r"reference log-probabilities: (\d+) of (\d+) pairs from the cache, which has (\d+)", text)
    assert found, text
    return tuple(map(int, found.groups()))


def reference(run_dir):
    """Of each pair that the run met: chosen and rejected."""
    with h5py.File(run_dir / "reference.h5") as file:
        return np.stack([file["reference/chosen_logp"][:], file["reference/rejected_logp"][:]])


def segments(cache):
    return sorted(cache.glob("*/segment-*.h5"))


def entries(cache):
    total = 0
    for path in segments(cache):
        with h5py.File(path) as file:
            total += len(file["entry/key_high"])
    return total


def other_pairs(inputs, path, choose):
    """A pairs file of the rows that `choose` makes of the fixture's rows."""
    source = path.with_suffix(".jsonl")
    source.write_text("".join(choose(inputs["pairs"].with_suffix(".jsonl").read_text().splitlines(keepends=True))))
    run("shard", "--pairs", source, "--tokenizer", inputs["pairs"].with_suffix(".known"), "--configuration", "all",
        "--out", path)
    return path


def train(inputs, run_dir, *extra, cache=None, model=None, pairs=None, steps=3, **keywords):
    """A run with the cache; `extra` options replace the usual ones."""
    usual = options(model or inputs["model"], pairs or inputs["pairs"], run_dir, steps=steps)
    kept = [word for name, value in zip(usual[::2], usual[1::2]) if name not in extra for word in (name, value)]
    return run("train", *kept, "--reference-cache", cache or inputs["cache"], *extra, **keywords)


def assert_equal_runs(one, other):
    expected, found = checkpoints.tensors(one / "final"), checkpoints.tensors(other / "final")
    assert all(np.array_equal(found[name], value) for name, value in expected.items())


def test_a_sweep_computes_once_and_ends_bit_for_bit_as_without_a_cache(inputs, tmp_path):
    folder, cache = inputs["folder"], inputs["cache"]
    assert hits(inputs["first"].stderr) == (0, COUNT, 0)
    assert entries(cache) == COUNT and len(segments(cache)) == 1
    assert np.array_equal(reference(folder / "plain"), reference(folder / "first"))
    assert_equal_runs(folder / "plain", folder / "first")

    for number, words in enumerate([[], ["--beta", 0.5], ["--learning-rate", 1e-3, "--loss", "hinge"]]):
        done = train(inputs, tmp_path / str(number), *words, steps=4)
        assert hits(done.stderr) == (COUNT, COUNT, COUNT)
        assert np.array_equal(reference(folder / "plain"), reference(tmp_path / str(number)))
        assert len(metrics(tmp_path / str(number))) == 4
    assert_equal_runs(folder / "plain", tmp_path / "0")
    assert entries(cache) == COUNT

    for path in [cache, *cache.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert run("convert", "verify", cache).stdout == f"{cache}: sound\n"
    seen = run("convert", "inspect", cache).stdout
    assert f"reference cache, {COUNT} pairs" in seen and "tensor_parallel: 1" in seen


def test_a_subset_in_another_order_finds_all_and_its_first_loss_is_right(inputs, tmp_path):
    rows = lambda lines: random.Random(3).sample(lines, 11)
    pairs = other_pairs(inputs, tmp_path / "subset.h5", rows)
    done = train(inputs, tmp_path / "run", "--eval-pairs", inputs["pairs"], "--micro-batch-tokens", 200, pairs=pairs,
                 ranks=2, OMP_NUM_THREADS=1)
    assert hits(done.stderr) == (11 + COUNT, 11 + COUNT, COUNT)
    assert metrics(tmp_path / "run")[0]["loss"] == pytest.approx(np.log(2), abs=1e-4)


def test_pairs_that_are_missing_are_computed_and_added(inputs, tmp_path):
    """A superset, and the same pair several times: each is computed once."""
    cache = tmp_path / "cache"
    few = other_pairs(inputs, tmp_path / "few.h5", lambda lines: lines[5:12])
    assert hits(train(inputs, tmp_path / "few", cache=cache, pairs=few).stderr) == (0, 7, 0)
    done = train(inputs, tmp_path / "all", "--zero", 3, cache=cache, ranks=2)
    assert hits(done.stderr) == (7, COUNT, 7) and entries(cache) == COUNT
    assert reference(tmp_path / "all") == pytest.approx(reference(inputs["folder"] / "plain"), abs=1e-3)
    twice = other_pairs(inputs, tmp_path / "twice.h5", lambda lines: [*lines[:6], *lines[3:9], *lines[:6]])
    done = train(inputs, tmp_path / "twice", cache=tmp_path / "new", pairs=twice)
    assert hits(done.stderr) == (0, 18, 0) and entries(tmp_path / "new") == 9


def test_changed_weights_at_the_same_path_never_hit(inputs, tmp_path):
    cache, model = tmp_path / "cache", tmp_path / "hf"
    run("convert", "export", "--checkpoint", inputs["model"], "--out", model)
    assert hits(train(inputs, tmp_path / "a", cache=cache, model=model).stderr) == (0, COUNT, 0)
    shutil.copytree(model, tmp_path / "copy")
    assert hits(train(inputs, tmp_path / "b", cache=cache, model=tmp_path / "copy").stderr) == (COUNT, COUNT, COUNT)

    weights = model / "model.safetensors"
    before, text = weights.stat(), bytearray(weights.read_bytes())
    text[-2] ^= 0x40
    with open(weights, "r+b") as file:  # the same file, size and time
        file.write(text)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = weights.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert hits(train(inputs, tmp_path / "c", cache=cache, model=model).stderr) == (0, COUNT, 0)

    other = write_model(tmp_path / "other", seed=4)
    assert hits(train(inputs, tmp_path / "d", cache=cache, model=other).stderr) == (0, COUNT, 0)
    assert len(list(cache.iterdir())) == 3


def test_what_changes_the_bits_is_part_of_the_key(inputs, tmp_path):
    for name, words, keywords in [("tp", ["--tensor-parallel", 2], {"ranks": 2}), ("bf16", ["--dtype", "bf16"], {})]:
        assert hits(train(inputs, tmp_path / name, *words, **keywords).stderr) == (0, COUNT, 0)


def test_a_resumed_run_reads_its_own_file(inputs, tmp_path):
    cache = tmp_path / "cache"
    stopped = train(inputs, tmp_path / "run", "--max-seconds", 0.001, cache=cache, exit_code=85)
    assert hits(stopped.stderr) == (0, COUNT, 0) and entries(cache) == 8
    shutil.rmtree(cache)
    done = train(inputs, tmp_path / "run", cache=cache)
    assert hits(done.stderr) == (0, COUNT - 8, 0) and entries(cache) == COUNT - 8
    assert np.array_equal(reference(tmp_path / "run"), reference(inputs["folder"] / "plain"))
    (tmp_path / "run/status.json").unlink()
    shutil.rmtree(cache)
    train(inputs, tmp_path / "run", cache=cache)
    assert not cache.exists()


def waits(run_dir):
    """Whether the run says so to its watchdog."""
    try:
        return "waiting for another run" in (run_dir / ".heartbeat/rank-0").read_text()
    except OSError:
        return False


def test_who_starts_meanwhile_waits_and_takes_over_from_the_dead(inputs, tmp_path):
    cache = tmp_path / "cache"
    pairs = write_pairs(tmp_path / "many.h5", 192, seed=9)

    def words(name, *extra):
        return [*options(inputs["model"], pairs, tmp_path / name, steps=24), "--reference-cache", cache, "--timeout", 3,
                "--checkpoint-minutes", 1e-5, *extra]

    first = Running("train", *words("first"))
    assert first.until(lambda: len(segments(cache)) >= 2)
    first.kill(first.ranks(), signal.SIGSTOP)
    done = entries(cache)
    assert 0 < done < 192

    late = run("train", *words("late", "--max-seconds", 4), exit_code=85)  # longer than --timeout
    assert f"waiting for another run's reference log-probabilities: process {first.process.pid} on " in late.stderr
    assert re.search(r"stopped in the reference pass, after batch \d+ of 24, by --max-seconds", late.stderr)
    assert json.loads((tmp_path / "late/status.json").read_text())["reference_batches"] >= 2

    told, second = Running("train", *words("told")), Running("train", *words("second"), ranks=2)
    assert told.until(lambda: waits(tmp_path / "told")) and second.until(lambda: waits(tmp_path / "second"))
    told.kill(told.ranks(), signal.SIGUSR1)
    code, text = told.wait()
    assert code == 85 and re.search(r"stopped in the reference pass, after batch \d+ of 24, by SIGUSR1", text), text

    first.kill(first.ranks())
    assert first.wait()[0] == -signal.SIGKILL
    code, text = second.wait()
    assert code == 0, text
    assert f"took over the lock of process {first.process.pid} on " in text
    found, wanted, _ = hits(text)
    assert done <= found < wanted == 192
    assert entries(cache) == 192 and not list(cache.glob("*/lock*"))
    run("convert", "verify", cache)
    run("train", *words("late"))
    assert np.array_equal(reference(tmp_path / "late"), reference(tmp_path / "second"))


def test_two_that_start_together_compute_once(inputs, tmp_path):
    pairs = write_pairs(tmp_path / "many.h5", 160, seed=9)
    words = lambda name: [*options(inputs["model"], pairs, tmp_path / name, steps=20), "--reference-cache",
                          tmp_path / "cache"]
    both = [Running("train", *words(name)) for name in "ab"]
    said = []
    for job in both:
        code, text = job.wait()
        assert code == 0, text
        said.append(hits(text)[:2])
    assert sorted(said) == [(0, 160), (160, 160)] and entries(tmp_path / "cache") == 160
    assert_equal_runs(tmp_path / "a", tmp_path / "b")


def test_a_damaged_segment_is_set_aside_with_one_line(inputs, tmp_path):
    cache = shutil.copytree(inputs["cache"], tmp_path / "cache")
    for folder in cache.iterdir():
        settings = json.loads((folder / "settings.json").read_text())["reference_cache"]
        if (settings["tensor_parallel"], settings["dtype"]) != (1, "fp32"):
            shutil.rmtree(folder)
    segment, = segments(cache)
    text = bytearray(segment.read_bytes())
    text[len(text) // 2] ^= 1
    segment.write_bytes(text[:-100])
    assert "checks failed" in run("convert", "verify", cache, exit_code=1).stdout
    done = train(inputs, tmp_path / "run", cache=cache)
    warnings = [line for line in done.stderr.splitlines() if "warning:" in line]
    assert len(warnings) == 1 and f"a part of the reference cache is set aside as {segment.name}.damaged: " in warnings[0]
    assert hits(done.stderr) == (0, COUNT, 0)
    run("convert", "verify", cache)


def test_a_cache_of_other_pairs_says_so(inputs, tmp_path):
    pairs = write_pairs(tmp_path / "pairs.h5", 9, seed=77)
    assert hits(train(inputs, tmp_path / "run", cache=shutil.copytree(inputs["cache"], tmp_path / "cache"),
                      pairs=pairs).stderr) == (0, 9, COUNT)


@pytest.mark.parametrize("name, exit_code, line", [
    ("file", 2, "--reference-cache names a file, where a folder is wanted [{path}] (name a folder)"),
    ("model", 2, "--reference-cache is the folder of a model or a run [{path}/manifest.json] (name a folder of its own)"),
    ("first", 2, "--reference-cache is the folder of a model or a run [{path}/run.json] (name a folder of its own)"),
    ("file/below", 1, "the reference cache cannot be made: Not a directory [{path}] (give --reference-cache a folder that "
                      "you may write to)"),
])
def test_what_is_no_cache(inputs, tmp_path, name, exit_code, line):
    (inputs["folder"] / "file").touch()
    path = inputs["folder"] / name
    fails("train", *options(inputs["model"], inputs["pairs"], tmp_path / "run"), "--reference-cache", path,
          line=line.format(path=path), exit_code=exit_code)


def test_a_cache_that_may_not_be_written(inputs, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    work = tmp_path / "work"
    shutil.copytree(inputs["model"], work / "model")
    pairs = write_pairs(work / "pairs.h5", 8)
    hand_over(tmp_path)
    locked.chmod(0o500)
    fails("train", *options(work / "model", pairs, work / "run"), "--reference-cache", locked, unprivileged=True,
          line=f"the reference cache cannot be made: Permission denied [{locked}] (give --reference-cache a folder that "
               "you may write to)")
