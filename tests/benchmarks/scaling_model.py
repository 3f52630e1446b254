#!/usr/bin/env python3
"""Simulates a training step of 70B on nodes of four GPUs: where does overlap stop hiding the transfers between nodes?

    tests/benchmarks/scaling_model.py [--machine H100] [--link-gbits 200] [--links-per-node 4] [--batch-pairs 64]

The model, event by event, of one data rank (all are alike):
- Tensor degree 4 on a node, one data rank a node. Blocks run one after the other on a compute stream: 2 operations a
  weight and token forward, 4 backward, 2 more where a block is recomputed, over the machine's TFLOP/s times its
  efficiency (src/train/machines.json); and, on the same stream, the exchange of activations at the rate within a node.
- One link carries gathers and reductions, one transfer at a time, first come first served; (n - 1)/n of a unit's bytes
  over the GPU's share of the node's links, and 10 microseconds a ring's hop (n - 1 of them).
- A unit's weights (ZeRO-3) are asked for when the unit before it begins; its gradients are reduced when its backward is
  done. Backward of a unit waits until the buffer of the unit two before it is reduced (two buffers).
- ZeRO-1 and 2 gather the new weights after the step, which nothing hides; gradients are reduced once a micro-batch.
A step's tokens are shared out evenly; micro-batches hold up to 8,192 tokens. The optimizer's pass is left out. The last
column is the size of one micro-batch a step. Measured on no such machine.
"""

import argparse
import json
import math
import pathlib

LAYERS, HIDDEN, MLP, VOCABULARY, KV = 80, 8192, 28672, 128256, 1024
BLOCK = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * KV + 3 * HIDDEN * MLP  # weights
TABLE = VOCABULARY * HIDDEN
TENSOR = 4
TOKENS_A_PAIR = 155 + 2 * 110  # a shared prompt of 60 to 250 tokens, answers of 20 to 200
HOP = 10e-6
MOST = 65536  # tokens in a micro-batch
EXCHANGES = {1: 2, 2: 3, 3: 5}  # of a block's two regions, by its passes: forward, backward, both again
UNITS = [TABLE / TENSOR] + [BLOCK / TENSOR] * LAYERS + [TABLE / TENSOR]  # weights of a rank


class Link:
    """One transfer at a time, in the order in which they are asked for."""

    def __init__(self, rate, ranks):
        self.rate, self.ranks, self.free, self.busy = rate, ranks, 0.0, 0.0

    def send(self, asked, size):
        if self.ranks == 1:
            return asked
        seconds = size * (self.ranks - 1) / self.ranks / self.rate + HOP * (self.ranks - 1)
        self.free = max(asked, self.free) + seconds
        self.busy += seconds
        return self.free


def step(machine, ranks, link_rate, tokens, zero, recompute, grad_bytes=4, micro_batch_tokens=8192):
    """Seconds of a step of `tokens` tokens a rank, seconds of compute, seconds in which the link is busy."""
    flops = machine["tflops"] * 1e12 * machine["efficiency"]
    micro_batches = max(1, math.ceil(tokens / micro_batch_tokens))
    each = tokens / micro_batches
    scored = each * 220 / TOKENS_A_PAIR
    rows = each * HIDDEN * 2  # bytes of an activation
    exchange = 2 * rows * (TENSOR - 1) / TENSOR / (machine["node_gbs"] * 1e9)  # a gather and a scatter

    def seconds(unit, passes):
        if unit == 0:
            return 0.0
        if unit == LAYERS + 1:
            return 8 * TABLE / TENSOR * scored / flops  # forward, again, and twice backward
        return passes * 2 * BLOCK / TENSOR * each / flops + EXCHANGES[passes] * exchange

    link, now, computed = Link(link_rate, ranks), 0.0, 0.0
    for _ in range(micro_batches):
        order = [(unit, 1, False) for unit in range(LAYERS + 1)] + [(LAYERS + 1, 0, True)]
        order += [(unit, 3 if recompute else 2, True) for unit in range(LAYERS, -1, -1)]
        arrived = link.send(now, UNITS[0] * 2) if zero == 3 else now
        reduced = [now, now]
        for place, (unit, passes, backward) in enumerate(order):
            begin = max(now, arrived, reduced[-2] if backward else now)
            following = order[place + 1][0] if place + 1 < len(order) else None
            # The table of the embedding is not needed in backward.
            arrived = begin
            if zero == 3 and following not in (None, 0):
                arrived = link.send(begin, UNITS[following] * 2)
            now = begin + seconds(unit, passes)
            computed += now - begin
            if backward:
                reduced.append(link.send(now, UNITS[unit] * grad_bytes * (1 if zero >= 2 else 2)))
        now = max(now, reduced[-1])
    if zero in (1, 2):
        now = max(now, link.send(now, sum(UNITS) * 2))
    return now, computed, link.busy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default="H100")
    parser.add_argument("--link-gbits", type=float, default=200)
    parser.add_argument("--links-per-node", type=int, default=4)
    parser.add_argument("--batch-pairs", type=int, default=64)
    parser.add_argument("--grad-bytes", type=int, default=4)
    words = parser.parse_args()
    home = pathlib.Path(__file__).resolve().parents[2]
    machine = json.loads((home / "src/train/machines.json").read_text())["machines"][words.machine]
    rate = words.link_gbits / 8 * 1e9 * words.links_per_node / TENSOR
    print(f"{words.machine}, {words.links_per_node} links of {words.link_gbits:g} Gb/s a node, "
          f"{words.batch_pairs} pairs a step\n")
    print("| nodes | tokens a rank | ZeRO | step, s | compute, s | link busy, s | compute's share | "
          "tokens a micro-batch at which it is 95 % |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for nodes in (2, 4, 8, 16, 32, 64):
        for zero in (2, 3):
            tokens = words.batch_pairs * TOKENS_A_PAIR / nodes
            total, compute, busy = step(machine, nodes, rate, tokens, zero, zero == 3, words.grad_bytes)

            def share(count):
                whole, work, _ = step(machine, nodes, rate, count, zero, zero == 3, words.grad_bytes, count)
                return work / whole

            # The least at which compute is 95 % of the step.
            enough = next((count for count in range(512, MOST, 512) if share(count) >= 0.95), None)
            print(f"| {nodes} | {tokens:,.0f} | {zero} | {total:.2f} | {compute:.2f} | {busy:.2f} | "
                  f"{100 * compute / total:.0f} % | {f'{enough:,}' if enough else f'more than {MOST:,}'} |")


if __name__ == "__main__":
    main()
