"""What the training benchmarks share: random models and pairs, and runs of refrain-train with their time and memory."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("REFRAIN_BIN", SOURCE / "build/bin"))
MODEL = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000, "hidden_size": 512,
         "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4,
         "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 8192,
         "initializer_range": 0.02, "tie_word_embeddings": False, "torch_dtype": "float32"}


def call(*words, threads=None, **extra):
    """Runs a command that must succeed, silently."""
    environment = os.environ | {key: str(value) for key, value in extra.items()}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    done = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(word) for word in words)}\n{done.stdout}{done.stderr}")
    return done


def write_model(folder, **changes):
    """A checkpoint of random weights."""
    config = folder.parent / f"{folder.name}.config.json"
    config.write_text(json.dumps(MODEL | changes))
    call(BIN / "refrain-convert", "init", "--model-config", config, "--seed", 1, "--out", folder)
    return folder


def write_pairs(path, rows, vocabulary=MODEL["vocab_size"]):
    """pairs.h5 of token ids: rows of (prompt, chosen, rejected) lengths."""
    draw = random.Random(0)
    ids = lambda count: [draw.randrange(3, vocabulary) for _ in range(count)]
    source = path.with_suffix(".jsonl")
    source.write_text("".join(json.dumps({"prompt_ids": ids(p), "chosen_ids": ids(c), "rejected_ids": ids(r)}) + "\n"
                              for p, c, r in rows))
    known = path.with_suffix(".known")
    known.mkdir(exist_ok=True)
    (known / "config.json").write_text(json.dumps(MODEL))
    call(BIN / "refrain-shard", "--pairs", source, "--tokenizer", known, "--configuration", "all", "--out", path, "--overwrite",
         "--max-length", MODEL["max_position_embeddings"])
    return path


def drawn_lengths(count, seed=0):
    """Lengths like RefusEU's."""
    draw = random.Random(seed)
    return [(draw.randint(60, 250), draw.randint(20, 200), draw.randint(20, 200)) for _ in range(count)]


def train(run_dir, *options, ranks=1, threads=2):
    """Runs refrain-train in a fresh folder. Returns the metrics rows, and the whole process's seconds."""
    shutil.rmtree(run_dir, ignore_errors=True)
    words = [BIN / "refrain-train", "--run-dir", run_dir, "--verify-writes", "off", *options]
    extra = {}
    if ranks > 1:
        words = ["mpirun", "-n", ranks, *words]
        extra = {"OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_MCA_rmaps_base_oversubscribe": 1}
        if os.geteuid() == 0:
            extra |= {"OMPI_ALLOW_RUN_AS_ROOT": 1, "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": 1}
    begin = time.perf_counter()
    call(*words, threads=threads, **extra)
    seconds = time.perf_counter() - begin
    rows = [json.loads(line) for line in (pathlib.Path(run_dir) / "metrics.jsonl").read_text().splitlines()]
    shutil.rmtree(run_dir)
    return rows, seconds


def put_into_page(page, name, text):
    """Replaces what stands between the marks of `name` in a page of docs/."""
    path = SOURCE / "docs" / page
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, _, rest = path.read_text().partition(begin)
    if not rest:
        sys.exit(f"{path} has no mark {begin.strip()}")
    path.write_text(before + begin + text + end + rest.partition(end)[2])


def markdown_table(rows):
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in body]) + "\n"


def scratch_folder(given):
    """The folder to work in, and what removes it."""
    if given:
        given.mkdir(parents=True, exist_ok=True)
        return given, lambda: None
    folder = pathlib.Path(tempfile.mkdtemp())
    return folder, lambda: shutil.rmtree(folder)
