"""What goes wrong while training: one clear line, the exit code, nothing half-written, no process left."""

import json
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

import checkpoints
from disks import small_disk
from processes import Running
from refrain import BIN, check_line, environment, fails, metrics, run
from small_runs import options, train_to, write_model, write_pairs


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
    assert not [path.parent.name for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
                if str(run_dir).encode() in path.read_bytes()]


@pytest.mark.parametrize("ranks", [1, 2])
def test_nan_in_a_weight(inputs, tmp_path, ranks):
    import torch
    from safetensors.torch import load_file, save_file

    model = hugging_face_copy(inputs, tmp_path / "hf")
    tensors = load_file(model / "model.safetensors")
    tensors["model.layers.1.mlp.down_proj.weight"][3, 5] = torch.nan
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    fails("train", *options(model, inputs["pairs"], tmp_path / "run"), "--tensor-parallel", ranks, ranks=ranks,
          line=f"the tensor holds NaN or infinite values [{model}:model.layers.1.mlp.down_proj.weight] (restore this "
               "model's files from where they came)")
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "failed"


@pytest.mark.parametrize("ranks", [1, 2])
def test_loss_that_turns_nan(inputs, tmp_path, ranks):
    """A learning rate at which the weights leave the range of fp32."""
    run_dir = tmp_path / "run"
    done = run("train", *words_of(inputs, run_dir, rate=1e30), "--checkpoint-every", 1, ranks=ranks, exit_code=1)
    lines = [text for text in done.stderr.splitlines() if text.startswith("refrain-train: ")]
    step = metrics(run_dir)[-1]["step"] + 1
    assert len(lines) == 1 and re.fullmatch(
        rf"refrain-train: the (loss|gradient's norm) is -?(nan|inf) at step {step} \[{run_dir}\] \(look at "
        r"metrics.jsonl for where it began; a lower --learning-rate often helps\)", lines[0]), done.stderr
    status = json.loads((run_dir / "status.json").read_text())
    assert status["state"] == "failed" and f"refrain-train: {status['error']}" == lines[0]
    assert not list((run_dir / "checkpoints").glob("*.tmp"))
    assert_no_process_left(tmp_path)


def test_a_reference_of_another_model_is_found_at_the_first_step(inputs, tmp_path):
    """The digest of a folder in Hugging Face form does not cover the weights' values; the first loss does."""
    import torch
    from safetensors.torch import load_file, save_file

    model, run_dir = hugging_face_copy(inputs, tmp_path / "hf"), tmp_path / "run"
    words = options(model, inputs["pairs"], run_dir)
    save_file(load_file(model / "model.safetensors"), model / "model.safetensors", metadata={"format": "pt"})
    train_to(1, *words)
    shutil.rmtree(run_dir / "checkpoints")
    tensors = load_file(model / "model.safetensors")
    torch.manual_seed(0)
    for name in tensors:
        if "layers" in name and "norm" not in name:
            tensors[name] += 0.1 * torch.randn_like(tensors[name])
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    line = run("train", *words, exit_code=1).stderr.splitlines()[-1]
    assert re.fullmatch(
        r"refrain-train: the first step's loss is \d\.\d+, and 0\.693147 where policy and reference are the same model "
        rf"\[{run_dir}/reference\.h5\] \(remove reference\.h5, which belongs to another model, or take the model "
        r"that it was made with\)", line), line


def test_a_rank_that_fails_alone_ends_all(inputs, tmp_path):
    """Rank 1 finds its pairs file unreadable: each rank gets a command line of its own."""
    good = [str(BIN / "refrain-train"), *map(str, words_of(inputs, tmp_path / "run"))]
    broken = tmp_path / "broken.h5"
    broken.write_bytes(inputs["pairs"].read_bytes()[:3000])
    bad = [str(broken) if word == str(inputs["pairs"]) else word for word in good]
    done = subprocess.run(["mpirun", "-n", "1", *good, ":", "-n", "1", *bad], env=environment(),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    check_line("train", done.stderr, "rank 1: cannot be opened as HDF5: truncated file "
                                     f"[{broken}] (the file is damaged or truncated; make it again)", launched=True)
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


@pytest.mark.parametrize("background", ["off", "on"])
def test_disk_that_fills_up_leaves_the_last_checkpoint(inputs, tmp_path, background):
    with small_disk(tmp_path / "disk", "24m") as disk:
        run_dir = disk / "run"
        words = [*words_of(inputs, run_dir, steps=100000), "--checkpoint-every", 3, "--background-checkpoints", background]
        job = Running("train", *words, ranks=2)
        latest = run_dir / "checkpoints/latest"
        assert job.until(lambda: latest.exists() and latest.resolve().name >= "step-00000003")
        free = shutil.disk_usage(disk).free
        subprocess.run(["dd", "if=/dev/zero", f"of={disk}/filler", "bs=64k", f"count={free // 65536 + 1}"],
                       capture_output=True)
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


def test_too_small_a_disk_is_told_before_the_first_step(inputs, tmp_path):
    with small_disk(tmp_path / "disk", "700k") as disk:
        run_dir = disk / "run"
        line = run("train", *words_of(inputs, run_dir), exit_code=1).stderr.splitlines()[-1]
        assert re.fullmatch(
            r"refrain-train: checkpoints of this run take up to [\d.]+ [KM]iB, and [\d.]+ KiB are free "
            rf"\[{run_dir}\] \(make room, lower --keep-checkpoints, or put --run-dir on another file system\)",
            line), line
        assert not (run_dir / "metrics.jsonl").exists() or not metrics(run_dir)
