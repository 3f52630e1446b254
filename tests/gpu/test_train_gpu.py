"""Training on GPUs against training on the CPU, and against TRL on the GPU. Everything is in bf16, so that curves are
compared, not bits."""

import json
import shutil
import subprocess

import numpy as np
import pytest

import checkpoints
from refrain import data, metrics, run
from small_runs import options, train_to, write_model, write_pairs

GPUS = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout.count("GPU ")
# Between two bf16 runs whose sums are in another order.
RELATIVE = {"loss": 0.02, "grad_norm": 0.05, "logps/chosen": 0.01, "logps/rejected": 0.01, "entropy": 0.01}
LAYOUTS = [(1, 1, []), (2, 2, []), (2, 1, ["--zero", 1]), (2, 1, ["--zero", 3]), (4, 2, ["--zero", 2]),
           (4, 1, ["--zero", 3, "--recompute", "block"])]


def near(ours, theirs, relative=RELATIVE):
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs):
        for key, allowed in relative.items():
            assert mine[key] == pytest.approx(other[key], rel=allowed, abs=1e-3), (mine["step"], key)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Heads of 64, as flash attention is used to; sharp enough for losses to move."""
    folder = tmp_path_factory.mktemp("inputs")
    model = write_model(folder / "model", hidden_size=256, intermediate_size=512, num_attention_heads=8,
                        num_key_value_heads=4, head_dim=64, initializer_range=0.05)
    return model, write_pairs(folder / "pairs.h5", 48)


def words(inputs, run_dir, *more):
    return [*options(*inputs, run_dir, steps=8, rate=1e-4), "--dtype", "bf16", *more]


@pytest.fixture(scope="module")
def on_cpu(inputs, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("cpu") / "run"
    run("train", *words(inputs, run_dir, "--device", "cpu"))
    return metrics(run_dir)


@pytest.mark.parametrize("ranks,tensor,more", LAYOUTS)
def test_curves_are_the_cpus(ranks, tensor, more, inputs, on_cpu, tmp_path):
    if ranks > GPUS:
        pytest.skip(f"{ranks} ranks want {ranks} GPUs, and this machine has {GPUS}")
    run("train", *words(inputs, tmp_path / "run", "--device", "cuda", "--tensor-parallel", tensor, *more), ranks=ranks)
    near(metrics(tmp_path / "run"), on_cpu)
    run("convert", "verify", tmp_path / "run/final")
    assert all(row["peak_memory_bytes"] > 0 for row in metrics(tmp_path / "run"))


def test_a_run_begun_on_the_gpu_goes_on_on_the_cpu(inputs, on_cpu, tmp_path):
    train_to(3, *words(inputs, tmp_path / "run", "--device", "cuda"))
    assert (tmp_path / "run/checkpoints/latest").exists()
    run("train", *words(inputs, tmp_path / "run", "--device", "cpu"))
    near(metrics(tmp_path / "run"), on_cpu)


def test_auto_takes_the_gpu(inputs, tmp_path):
    run("train", *words(inputs, tmp_path / "run"))
    assert json.loads((tmp_path / "run/run.json").read_text())["provenance"]["layout"]["device"] == "cuda"


def test_against_trl_on_the_gpu(inputs, tmp_path):
    import torch
    import trl_dpo

    if not torch.cuda.is_available():
        pytest.fail("the torch of the peers' environment sees no GPU: install one with CUDA there (docs/gpu.md)")
    model, pairs = inputs
    folder = tmp_path / "hf"
    run("convert", "export", "--checkpoint", model, "--out", folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):  # TRL wants one, for pairs of ready token ids too
        shutil.copy(data("stories260K/hf") / name, folder)
    # Mixed precision with fp32 weights, as ours: weights that are bf16 themselves lose most of such small updates.
    log, _, weights = trl_dpo.train(folder, pairs.with_suffix(".jsonl"), tmp_path / "trl", bf16=True, cpu=False,
                                    batch=8, steps=8, learning_rate=1e-4, beta=0.1)
    run("train", *words(inputs, tmp_path / "run", "--device", "cuda", "--shuffle", "off"))
    near(metrics(tmp_path / "run"), [{**row, "step": i + 1} for i, row in enumerate(log)],
         {key: RELATIVE[key] for key in ("loss", "grad_norm", "logps/chosen", "logps/rejected")})
    # Adam's first steps go by the gradient's sign, which bf16 decides for many weights: the direction is compared.
    start, ours = checkpoints.tensors(model), checkpoints.tensors(tmp_path / "run/final")
    for name, before in start.items():
        mine, theirs = (ours[name] - before).ravel(), (weights[name] - before).ravel()
        cosine = np.dot(mine, theirs) / (np.linalg.norm(mine) * np.linalg.norm(theirs))
        assert cosine > 0.9, (name, cosine)
