"""Steps of a model with Llama 3's widths and few layers, by refrain-train itself. See step_shape.sh."""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("REFRAIN_BIN", SOURCE / "build/bin"))
SHAPES = {
    "70b": {"hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64},
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32},
}
COMMON = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256, "num_key_value_heads": 8,
          "head_dim": 128, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
          "max_position_embeddings": 8192, "initializer_range": 0.02, "tie_word_embeddings": False,
          "torch_dtype": "bfloat16"}


def layer_parameters(config):
    heads = config["num_attention_heads"] + config["num_key_value_heads"]
    return config["hidden_size"] * (2 * heads * config["head_dim"] + 3 * config["intermediate_size"])


def layers_that_fit(config, memory, arguments):
    """Bytes a parameter: bf16 weight and gradient in fp32, master and two moments, shared as --zero says."""
    data = arguments.ranks // arguments.tensor_parallel
    share = lambda stage: data if arguments.zero >= stage else 1
    width = 2 / share(3) + 4 / share(2) + 12 / share(1) + (4 if data > 1 else 0) / 8
    tables = 2 * config["vocab_size"] * config["hidden_size"]
    activations = arguments.micro_batch_tokens * (6 * config["hidden_size"] + 3 * config["intermediate_size"]) * 2
    free = (memory * 0.9 - 4e9) * arguments.tensor_parallel - tables * width - activations
    return max(1, int(free / (layer_parameters(config) * width + activations / 3)))


def flops(config, layers, tokens, scored):
    """Of forward and backward: 6 a weight and token; the output matrix for scored tokens alone; attention left out."""
    return 6 * (layers * layer_parameters(config) * tokens + config["vocab_size"] * config["hidden_size"] * scored)


def write_pairs(path, count, vocabulary):
    """Lengths as RefusEU's: prompts of 60 to 250 tokens, answers of 20 to 200."""
    draw = random.Random(0)
    ids = lambda low, high: [draw.randrange(3, vocabulary) for _ in range(draw.randint(low, high))]
    rows = [{"prompt_ids": ids(60, 250), "chosen_ids": ids(20, 200), "rejected_ids": ids(20, 200)} for _ in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="70b")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--tensor-parallel", type=int, default=1)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--micro-batch-tokens", type=int, default=8192)
    parser.add_argument("--recompute", default="none")
    parser.add_argument("--zero", type=int, default=0)
    parser.add_argument("--peak-tflops", type=float, default=989, help="bf16, dense: 989 for H100 and H200 SXM, 312 for A100")
    parser.add_argument("--device", default="cuda", help="cpu tries the script itself")
    parser.add_argument("--work", type=pathlib.Path)
    arguments = parser.parse_args()

    config = {**COMMON, **SHAPES[arguments.shape]}
    card, memory = "none", 8e9
    if arguments.device == "cuda":
        card, mebibytes = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"], check=True,
            capture_output=True, text=True).stdout.splitlines()[0].rsplit(",", 1)
        memory = float(mebibytes) * 2**20
    layers = arguments.layers or layers_that_fit(config, memory, arguments)

    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        work = pathlib.Path(folder)
        known = work / "known"
        known.mkdir()
        text = json.dumps({**config, "num_hidden_layers": layers})
        (known / "config.json").write_text(text)
        job = lambda name, *words: subprocess.run([BIN / f"refrain-{name}", *map(str, words)], check=True)
        # A micro-batch of these lengths holds about 20 pairs; each rank has one a step.
        batch = max(1, arguments.micro_batch_tokens // 400) * max(1, arguments.ranks // arguments.tensor_parallel)
        rows = write_pairs(work / "pairs.jsonl", batch * arguments.steps, config["vocab_size"])
        job("convert", "init", "--model-config", known / "config.json", "--seed", 1, "--out", work / "model")
        job("shard", "--pairs", work / "pairs.jsonl", "--tokenizer", known, "--configuration", "all", "--out", work / "pairs.h5")
        launcher = ["mpirun", "-n", str(arguments.ranks)] if arguments.ranks > 1 else []
        run = work / "run"
        subprocess.run([*launcher, str(BIN / "refrain-train"), *map(str, [
            "--pairs", work / "pairs.h5", "--init", work / "model", "--run-dir", run, "--device", arguments.device,
            "--dtype", "bf16", "--tensor-parallel", arguments.tensor_parallel, "--zero", arguments.zero,
            "--recompute", arguments.recompute, "--micro-batch-tokens", arguments.micro_batch_tokens,
            "--global-batch-pairs", batch, "--max-steps", arguments.steps, "--shuffle", "off",
            "--checkpoint-every", arguments.steps + 1, "--verify-writes", "off"])], check=True)
        steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()][2:]  # warm

    # As they run: a pair's prompt once, and of an answer all but its last token.
    tokens = statistics.mean(len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]) - 2 for row in rows) * batch
    scored = statistics.mean(len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in rows) * batch
    seconds = statistics.median(row["step_seconds"] for row in steps)
    mfu = flops(config, layers, tokens, scored) / seconds / arguments.ranks / (arguments.peak_tflops * 1e12)
    print(json.dumps({
        "shape": arguments.shape, "layers": layers, "card": card.strip(), "ranks": arguments.ranks,
        "tensor_parallel": arguments.tensor_parallel, "zero": arguments.zero, "recompute": arguments.recompute,
        "tokens_a_step": round(tokens), "step_seconds": seconds,
        "pairs_per_second": statistics.median(row["pairs_per_second"] for row in steps),
        "mfu_of_data_sheet": mfu, "mfu_of_own_products": statistics.median(row["mfu"] for row in steps),
        "peak_memory_bytes": max(row["peak_memory_bytes"] for row in steps)}, indent=1))
    if len(steps) < 3:
        sys.exit("too few steps behind the first two: give --steps 5 or more")


if __name__ == "__main__":
    main()
