#!/usr/bin/env python3
"""Bytes that a rank sends in a step, counted by the running program, beside what --plan says: a Markdown table over
tensor x data x ZeRO on four ranks of this machine, of a small random model.

    tests/benchmarks/traffic_table.py
"""

import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "helpers"))

from refrain import metrics, run  # noqa: E402
from small_runs import options, write_model, write_pairs  # noqa: E402

KINDS = ("parameters", "gradients", "activations")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = write_model(folder / "model", hidden_size=256, head_dim=64, intermediate_size=704)
        pairs = write_pairs(folder / "pairs.h5", 32)
        print("| tensor x data | ZeRO | type | parameters | gradients | activations | the plan's |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for tensor in (1, 2, 4):
            for zero in (0, 1, 2, 3) if tensor < 4 else (0,):
                for dtype in ("fp32", "bf16"):
                    run_dir, out = folder / f"run-{tensor}-{zero}-{dtype}", folder / "plan.json"
                    words = options(model, pairs, run_dir, steps=2)
                    more = ["--tensor-parallel", tensor, "--zero", zero, "--recompute", "none", "--dtype", dtype]
                    run("train", *words, *more, ranks=4)
                    row = metrics(run_dir)[1]
                    run("train", "--plan", *words, *more, "--gpus-per-node", 4, "--machine", "CPU", "--plan-out", out)
                    planned = json.loads(out.read_text())["sent_bytes_by_step"][1]
                    counted = {kind: row[f"sent_bytes/{kind}"] for kind in KINDS}
                    print(f"| {tensor} x {4 // tensor} | {zero} | {dtype} | "
                          + " | ".join(f"{counted[kind]:,}" for kind in KINDS)
                          + f" | {'the same' if planned == counted else planned} |")


if __name__ == "__main__":
    main()
