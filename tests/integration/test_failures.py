"""What goes wrong while training: one clear line, the exit code, nothing half-written, no process left."""

import json
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

import checkpoints
from processes import Running
from refrain import BIN, ROOT, environment, fails, metrics, run
from small_runs import VOCABULARY, options, write_model, write_pairs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("failures")
    return {"folder": folder, "model": write_model(folder / "model"), "pairs": write_pairs(folder / "pairs.h5", 24)}


def words_of(inputs, run_dir, **changes):
    return options(inputs["model"], inputs["pairs"], run_dir, **changes)


def hugging_face_copy(inputs, folder):
    run("convert", "export", "--checkpoint", inputs["model"], "--out", folder)
    return folder


def assert_no_process_left(run_dir):
    left = [
        path.parent.name
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
        if str(run_dir).encode() in path.read_bytes()
    ]
    assert not left


@pytest.mark.parametrize(
    "changes,line",
    [
        (["--weight-decay", -1], "--weight-decay"),
        (
            ["--label-smoothing", 0.1],
            "--label-smoothing belongs to --loss robust alone (leave it out, or choose --loss robust)",
        ),
        (
            ["--loss", "sft", "--sft-weight", 1],
            "--sft-weight adds the token loss to another loss, and --loss sft is that loss (leave it out)",
        ),
        (
            ["--checkpoint-every", 2, "--checkpoint-minutes", 3],
            "--checkpoint-every and --checkpoint-minutes contradict each other (give one of them)",
        ),
        (["--eval-every", 2], "--eval-every needs --eval-pairs (name held-out pairs, or leave it out)"),
        (
            ["--device", "cuda"],
            "--device cuda: this build trains on CPUs alone (leave --device out, or give --device cpu)",
        ),
    ],
)
def test_contradictory_options(inputs, tmp_path, changes, line):
    done = run("train", *words_of(inputs, tmp_path / "run"), *changes, exit_code=2)
    assert done.stderr.startswith(f"refrain-train: {line}") and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "run").exists()


def test_ranks_that_do_not_fit_the_layout(inputs, tmp_path):
    done = run("train", *words_of(inputs, tmp_path / "run"), "--tensor-parallel", 3, ranks=2, exit_code=2)
    assert len([text for text in done.stderr.splitlines() if text.startswith("refrain-train: ")]) == 1, done.stderr
    assert not (tmp_path / "run").exists()


def test_heads_that_do_not_divide(inputs, tmp_path):
    fails(
        "train",
        *words_of(inputs, tmp_path / "run"),
        "--tensor-parallel",
        3,
        ranks=3,
        line="tensor-parallel degree 3 does not divide the model's 4 heads, 4 key-value heads and intermediate size 64 "
        "(degrees that work: 1, 2, 4)",
    )
    assert not (tmp_path / "run").exists()


def test_tokens_of_another_vocabulary(inputs, tmp_path):
    pairs = write_pairs(tmp_path / "large.h5", 8, vocabulary=VOCABULARY + 400)
    done = run("train", *options(inputs["model"], pairs, tmp_path / "run"), exit_code=1)
    assert re.fullmatch(
        rf"refrain-train: token \d+ is not among the {VOCABULARY} tokens of the model "
        rf"\[{pairs}:/tokens\] \(shard the pairs with this model's tokenizer\)\n",
        done.stderr,
    ), done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("ranks", [1, 2])
def test_nan_in_a_weight(inputs, tmp_path, ranks):
    import torch
    from safetensors.torch import load_file, save_file

    model = hugging_face_copy(inputs, tmp_path / "hf")
    tensors = load_file(model / "model.safetensors")
    tensors["model.layers.1.mlp.down_proj.weight"][3, 5] = torch.nan
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    done = run(
        "train",
        *options(model, inputs["pairs"], tmp_path / "run"),
        "--tensor-parallel",
        ranks,
        ranks=ranks,
        exit_code=1,
    )
    lines = [text for text in done.stderr.splitlines() if text.startswith("refrain-train: ")]
    assert len(lines) == 1 and "the tensor holds NaN or infinite values" in lines[0], done.stderr
    assert "model.layers.1.mlp.down_proj.weight" in lines[0]
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "failed"


@pytest.mark.parametrize("ranks", [1, 2])
def test_loss_that_turns_nan(inputs, tmp_path, ranks):
    """A learning rate at which the weights leave the range of fp32."""
    run_dir = tmp_path / "run"
    done = run("train", *words_of(inputs, run_dir, rate=1e30), "--checkpoint-every", 1, ranks=ranks, exit_code=1)
    lines = [text for text in done.stderr.splitlines() if text.startswith("refrain-train: ")]
    assert len(lines) == 1 and re.search(
        r"the (loss|gradient's norm) is -?(nan|inf) at step \d+", lines[0]
    ), done.stderr
    status = json.loads((run_dir / "status.json").read_text())
    assert status["state"] == "failed" and "at step" in status["error"]
    assert not list((run_dir / "checkpoints").glob("*.tmp"))
    assert_no_process_left(tmp_path)


def test_a_reference_of_another_model_is_found_at_the_first_step(inputs, tmp_path):
    """The digest of a folder in Hugging Face form does not cover the weights' values; the first loss does."""
    import torch
    from safetensors.torch import load_file, save_file

    model, run_dir = hugging_face_copy(inputs, tmp_path / "hf"), tmp_path / "run"
    words = options(model, inputs["pairs"], run_dir)
    save_file(load_file(model / "model.safetensors"), model / "model.safetensors", metadata={"format": "pt"})
    run("train", *words, "--max-seconds", 0.001, exit_code=85)
    shutil.rmtree(run_dir / "checkpoints")
    tensors = load_file(model / "model.safetensors")
    torch.manual_seed(0)
    for name in tensors:
        if "layers" in name and "norm" not in name:
            tensors[name] += 0.1 * torch.randn_like(tensors[name])
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    done = run("train", *words, exit_code=1)
    assert re.search(
        r"refrain-train: the first step's loss is \d\.\d+, and 0\.693147 where policy and reference are the same model "
        rf"\[{run_dir}/reference.h5\] \(remove reference.h5",
        done.stderr,
    ), done.stderr


def test_a_rank_that_fails_alone_ends_all(inputs, tmp_path):
    """Rank 1 finds its pairs file unreadable: each rank gets a command line of its own."""
    good = [str(BIN / "refrain-train"), *map(str, words_of(inputs, tmp_path / "run"))]
    broken = tmp_path / "broken.h5"
    broken.write_bytes(inputs["pairs"].read_bytes()[:3000])
    bad = [str(broken) if word == str(inputs["pairs"]) else word for word in good]
    done = subprocess.run(
        ["mpirun", "-n", "1", *good, ":", "-n", "1", *bad],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = [text for text in done.stderr.splitlines() if text.startswith("refrain-train: ")]
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert lines[0].startswith("refrain-train: rank 1: ") and str(broken) in lines[0]
    assert not (tmp_path / "run").exists()
    assert_no_process_left(tmp_path)


def test_a_rank_that_stops_answering_is_named(inputs, tmp_path):
    run_dir = tmp_path / "run"
    job = Running("train", *words_of(inputs, run_dir, steps=100000), "--timeout", 3, ranks=2)
    # What the others know of a rank is as old as its last heartbeat.
    heartbeats = run_dir / ".heartbeat"
    assert job.until(lambda: len([file for file in heartbeats.glob("*[0-9]") if '"step ' in file.read_text()]) == 2)
    job.kill(job.ranks()[1:2], signal.SIGSTOP)
    code, text = job.wait(60)
    assert code != 0
    assert re.search(r"rank 1: stopped answering in: step \d+", text), text
    assert_no_process_left(tmp_path)


@pytest.mark.skipif(not ROOT, reason="mounting a small file system needs root")
def test_disk_that_fills_up_leaves_the_last_checkpoint(inputs, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]).returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        run_dir = disk / "run"
        words = [*words_of(inputs, run_dir, steps=100000), "--checkpoint-every", 3]
        job = Running("train", *words, ranks=2)
        latest = run_dir / "checkpoints/latest"
        assert job.until(lambda: latest.exists() and latest.resolve().name >= "step-00000003")
        free = shutil.disk_usage(disk).free
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={disk}/filler", "bs=64k", f"count={free // 65536 + 1}"], capture_output=True
        )
        code, text = job.wait(60)
        lines = [line for line in text.splitlines() if line.startswith("refrain-train: ")]
        assert code == 1 and len(lines) == 1, text
        assert "No space left" in lines[0] or "are free" in lines[0], lines
        (disk / "filler").unlink()
        kept = latest.resolve()
        assert kept.name.startswith("step-") and not list(kept.parent.glob("*.tmp"))
        run("convert", "verify", kept)
        assert_no_process_left(tmp_path)
        reached = metrics(run_dir)[-1]["step"]
        again = Running("train", *words, ranks=2)
        assert again.until(lambda: metrics(run_dir)[-1:] and metrics(run_dir)[-1]["step"] > reached, interval=0.05)
        again.kill(again.ranks()[:1], signal.SIGTERM)
        assert again.wait()[0] == 85
        assert checkpoints.manifest(latest)["training_state"]["step"] > reached
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.skipif(not ROOT, reason="mounting a small file system needs root")
def test_too_small_a_disk_is_told_before_the_first_step(inputs, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", disk]).returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        done = run("train", *words_of(inputs, disk / "run"), exit_code=1)
        assert re.search(
            r"refrain-train: checkpoints of this run take up to [\d.]+ [KM]iB, and [\d.]+ KiB are free", done.stderr
        ), done.stderr
        assert not (disk / "run/metrics.jsonl").exists() or not metrics(disk / "run")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
