"""Memory that a run was predicted to take, against what it took: within 10 % above the process before the model."""

import json

import pytest

from refrain import LONG, metrics, run
from small_runs import options, write_model, write_pairs

VOCABULARY = 32000

# Ranks and options. The model's weights are 404 MB in fp32.
EVERYDAY = [
    (1, ["--dtype", "fp32"]),
    (2, ["--zero", 3, "--recompute", "block"]),
    (2, ["--tensor-parallel", 2, "--dtype", "bf16", "--recompute", "selective"]),
]
ALL = EVERYDAY + [
    (1, ["--dtype", "bf16", "--recompute", "block"]),
    (2, ["--zero", 0, "--background-checkpoints", "on", "--checkpoint-every", 1]),
    (2, ["--zero", 1, "--dtype", "bf16"]),
    (2, ["--tensor-parallel", 2, "--sequence-parallel", "off"]),
    (3, ["--zero", 2, "--recompute", "selective"]),
    (4, ["--tensor-parallel", 2, "--zero", 2]),
    (4, ["--tensor-parallel", 2, "--zero", 3, "--dtype", "bf16"]),
    (4, ["--zero", 3, "--dtype", "bf16", "--grad-dtype", "weights", "--recompute", "block",
         "--micro-batch-tokens", 4000]),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    model = write_model(folder / "model", vocab_size=VOCABULARY, hidden_size=1024, intermediate_size=2816,
                        num_hidden_layers=3, num_attention_heads=16, num_key_value_heads=8, head_dim=64,
                        max_position_embeddings=1024, initializer_range=0.02)
    return {"model": model, "pairs": write_pairs(folder / "pairs.h5", 8, vocabulary=VOCABULARY, longest=160)}


def words_of(inputs, run_dir, more):
    words = [*options(inputs["model"], inputs["pairs"], run_dir, steps=2, batch=4, rate=1e-5), "--verify-writes", "off"]
    words[words.index("--micro-batch-tokens") + 1] = 700
    if "--micro-batch-tokens" in more:
        at = words.index("--micro-batch-tokens")
        del words[at:at + 2]
    return [*words, *more]


@pytest.mark.parametrize("ranks,more", ALL if LONG else EVERYDAY, ids=lambda value: "-".join(map(str, value))
                         if isinstance(value, list) else str(value))
def test_predicted_memory_is_what_a_run_takes(inputs, tmp_path, ranks, more):
    run("train", *words_of(inputs, tmp_path / "run", more), ranks=ranks, timeout=1500)
    memory = json.loads((tmp_path / "run/run.json").read_text())["starts"][0]["memory"]
    peak = max(row["peak_memory_bytes"] for row in metrics(tmp_path / "run"))
    measured = peak - memory["before_model_bytes"]
    predicted = memory["predicted_bytes"]
    print(f"{ranks} ranks {' '.join(map(str, more))}: before {memory['before_model_bytes'] / 1e6:.0f} MB, measured "
          f"{measured / 1e6:.0f} MB, predicted {predicted['all'] / 1e6:.0f} MB, ratio {predicted['all'] / measured:.3f}")
    assert predicted["all"] == pytest.approx(measured, rel=0.1), predicted
    states = sum(predicted[part] for part in ("parameters", "gradients", "optimizer"))
    assert states > 0.2e9
