"""A small random model and random pairs: inputs of the training tests that need no peer and no test data."""

import json
import pathlib
import random

from refrain import run

VOCABULARY = 259

MODEL = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": 32,
         "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4,
         "head_dim": 8, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
         "max_position_embeddings": 256, "initializer_range": 0.2, "tie_word_embeddings": False,
         "attention_bias": False, "mlp_bias": False, "torch_dtype": "float32"}


def write_model(folder, seed=3, **changes):
    """A checkpoint of random weights."""
    config = folder.parent / f"{folder.name}.config.json"
    config.write_text(json.dumps({**MODEL, **changes}))
    run("convert", "init", "--model-config", config, "--seed", seed, "--out", folder)
    return folder


def write_pairs(path, count, seed=5, languages=("de", "en"), vocabulary=VOCABULARY, longest=40):
    """pairs.h5 from ready token ids. In each pair the chosen answer's tokens are of the vocabulary's lower half."""
    draw = random.Random(seed)
    half = vocabulary // 2
    ids = lambda low, high: [draw.randrange(low, high) for _ in range(draw.randint(2, longest))]
    rows = [{"prompt_ids": ids(3, vocabulary), "chosen_ids": ids(3, half), "rejected_ids": ids(half, vocabulary),
             "lang": languages[i % len(languages)], "row_id": i, "id": f"pair-{i}"} for i in range(count)]
    source = path.with_suffix(".jsonl")
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    known = path.with_suffix(".known")  # ready ids need no tokenizer, only the number of tokens
    known.mkdir(exist_ok=True)
    (known / "config.json").write_text(json.dumps({**MODEL, "vocab_size": vocabulary}))
    run("shard", "--pairs", source, "--tokenizer", known, "--configuration", "all", "--out", path)
    return path


def options(model, pairs, run_dir, steps=12, batch=8, rate=1e-2):
    """Options of refrain-train for such a run."""
    return ["--pairs", pairs, "--init", model, "--run-dir", run_dir, "--max-steps", steps,
            "--global-batch-pairs", batch, "--micro-batch-tokens", 300, "--learning-rate", rate, "--beta", 0.1,
            "--seed", 7]


def train_to(step, *words, ranks=1):
    """Starts that stop as early as they may, until `step` steps are done. Returns the last one."""
    run_dir = pathlib.Path(words[words.index("--run-dir") + 1])
    for _ in range(100):
        done = run("train", *words, "--max-seconds", 0.001, ranks=ranks, exit_code=85)
        if json.loads((run_dir / "status.json").read_text())["step"] >= step:
            return done
    raise AssertionError(f"step {step} was not reached")
