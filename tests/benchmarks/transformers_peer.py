"""What benchmarks against transformers share: their options, and transformers in a process of its own, which is the
benchmark's script itself with --transformers BATCH."""

import argparse
import json
import os
import pathlib
import sys

from bench import call


def peer_parser(description, batches):
    """A parser of the options that all of them take; `batches` are tried where none are named."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=batches, help="of transformers, to choose the fastest from")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--transformers", type=int, help=argparse.SUPPRESS)
    return parser


def run_peer(script, work, batch, options, *more):
    """Runs `script` as transformers' process. Returns the value that its last line is."""
    done = call(sys.executable, script, "--transformers", batch, "--work", work, "--dtype", options.dtype, *more,
                threads=options.threads, HF_HUB_OFFLINE=1)
    return json.loads(done.stdout.splitlines()[-1])


def fastest_batch(options, seconds_of, count, what):
    """The batch size of which `seconds_of` is least, for `count` of `what`; prints all."""
    tried = {batch: seconds_of(batch) for batch in options.batches}
    for batch, seconds in tried.items():
        print(f"transformers, batches of {batch:3}: {count / seconds:6.2f} {what}/s", flush=True)
    return min(tried, key=tried.get)


def load_model(work, dtype):
    """WORK/model in transformers' process, with the threads that it was given."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    return AutoModelForCausalLM.from_pretrained(work / "model", dtype={"fp32": torch.float32, "bf16": torch.bfloat16}[dtype])


def left_padded(rows):
    """Rows of ids as one batch padded on the left: ids, mask."""
    import torch

    longest = max(map(len, rows))
    return (torch.tensor([[0] * (longest - len(row)) + row for row in rows]),
            torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows]))
