"""Model FLOP/s of refrain-train's steps over those of plain matrix products of the same shapes, in one run: one rank of
two threads, and two ranks of one thread sharing the weights (tensor parallel) or the pairs (data parallel)."""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from bench import MODEL, drawn_lengths, scratch_folder, train, write_model, write_pairs

SIZES = {"hidden_size": 1024, "intermediate_size": 2816, "num_attention_heads": 16, "num_key_value_heads": 8,
         "num_hidden_layers": 4}
BATCH, MICRO_BATCH_TOKENS, STEPS, PLAIN_ROWS = 8, 4096, 3, 2048
LAYOUTS = {"1 rank x 2 threads": (1, 2, 1), "tensor parallel 2 x 1 thread": (2, 1, 2), "data parallel 2 x 1 thread": (2, 1, 1)}


def products():
    """(input width, output width, whether it is the output matrix) of a step's matrix products, and how often."""
    model = MODEL | SIZES
    width, inner = model["hidden_size"], model["intermediate_size"]
    head = width // model["num_attention_heads"]
    kv = 2 * model["num_key_value_heads"] * head
    block = [(width, width + kv), (width, width), (width, 2 * inner), (inner, width)]
    return [(i, o, False) for i, o in block for _ in range(model["num_hidden_layers"])] + [(width, model["vocab_size"], True)]


def counted(lengths):
    """Tokens through the blocks and scored positions of a step, prompts shared."""
    pairs = lengths[:BATCH]
    return (sum(p + c - 1 + r - 1 for p, c, r in pairs), sum(c + r for _, c, r in pairs))


def flops(tokens, scored):
    """Of a step's products, forward and backward."""
    return sum(6 * i * o * (scored if head else tokens) for i, o, head in products())


def plain_products(threads):
    """In a process of its own: seconds for a step's products with torch.mm, at the sizes of full micro-batches."""
    import time

    import torch

    torch.set_num_threads(threads)
    seconds = 0.0
    for i, o, head in dict.fromkeys(products()):
        n = PLAIN_ROWS // 2 if head else PLAIN_ROWS
        x, w, dy = torch.randn(n, i), torch.randn(o, i), torch.randn(n, o)
        grad = torch.zeros(o, i)
        taken = []
        for _ in range(4):
            begin = time.perf_counter()
            x @ w.t()
            dy @ w
            grad.addmm_(dy.t(), x)
            taken.append(time.perf_counter() - begin)
        times = sum(1 for product in products() if product == (i, o, head))
        seconds += times * statistics.median(taken[1:]) / n  # a row
    # FLOP/s over the mixture of shapes, as many rows of each.
    print(json.dumps(sum(6 * i * o for i, o, _ in products()) / seconds))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--plain", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        return plain_products(options.plain)
    work, remove = scratch_folder(options.work)
    model = write_model(work / "model", **SIZES)
    lengths = drawn_lengths(BATCH)
    pairs = write_pairs(work / "pairs.h5", lengths)
    work_of_a_step = flops(*counted(lengths))
    shares = {name: [] for name in LAYOUTS}
    for round_number in range(options.rounds):
        for name, (ranks, threads, tensor) in LAYOUTS.items():
            # Right before each, since the machine's speed drifts.
            done = subprocess.run([sys.executable, __file__, "--plain", "2"], capture_output=True, text=True, check=True)
            plain = json.loads(done.stdout)
            rows, _ = train(work / "run", "--pairs", pairs, "--init", model, "--global-batch-pairs", BATCH, "--max-steps", STEPS,
                            "--micro-batch-tokens", MICRO_BATCH_TOKENS, "--tensor-parallel", tensor, "--shuffle", "off",
                            ranks=ranks, threads=threads)
            seconds = statistics.median(row["step_seconds"] for row in rows[1:])
            shares[name].append(work_of_a_step / seconds / plain)
            print(f"round {round_number + 1}: {name:30} {work_of_a_step / seconds / 1e9:7.1f} GFLOP/s of {plain / 1e9:7.1f} plain: "
                  f"{shares[name][-1]:.3f}", flush=True)
    remove()
    one = statistics.median(shares["1 rank x 2 threads"])
    for name, values in shares.items():
        print(f"{name:30} {statistics.median(values):.3f} of plain products, {statistics.median(values) / one:.3f} of one rank's")


main()
