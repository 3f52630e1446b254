"""How speed and memory of refrain-train grow with the number of pairs, the layers and the sequence length. Prints a
table; with --write it and a plot go into docs/performance.md and docs/growth.svg."""

import argparse
import math
import pathlib

from bench import SOURCE, drawn_lengths, markdown_table, put_into_page, scratch_folder, train, write_model, write_pairs

SMALL = {"hidden_size": 256, "intermediate_size": 704, "num_attention_heads": 4, "num_key_value_heads": 2,
         "num_hidden_layers": 4, "vocab_size": 8000}


def measure(work, model, lengths, batch, micro_batch_tokens, steps):
    """Pairs a second over all steps but the first, and the highest memory in MiB."""
    pairs = write_pairs(work / "pairs.h5", lengths, SMALL["vocab_size"])
    rows, _ = train(work / "run", "--pairs", pairs, "--init", model, "--global-batch-pairs", batch, "--max-steps", steps,
                    "--micro-batch-tokens", micro_batch_tokens, "--logits-chunk-rows", 512)
    steady = rows[1:]
    seconds = sum(row["step_seconds"] for row in steady)
    return batch * len(steady) / seconds, max(row["peak_memory_bytes"] for row in rows) / 2**20


def series(work):
    """(what grows, its value, pairs a second, MiB)."""
    model = write_model(work / "model", **SMALL)
    for factor in (1, 4, 16):
        count = 32 * factor
        yield "pairs", count, *measure(work, model, drawn_lengths(count), 16, 2048, count // 16)
    for layers in (2, 8, 32):
        deep = write_model(work / f"layers-{layers}", **(SMALL | {"num_hidden_layers": layers}))
        yield "layers", layers, *measure(work, deep, drawn_lengths(16), 8, 2048, 3)
    for length in (128, 256, 512, 1024, 2048, 4096):
        # A quarter of the length each for the answers: prompt and one answer make the sequence.
        lengths = [(length * 3 // 4, length // 4, length // 4)] * 16
        yield "sequence length", length, *measure(work, model, lengths, 4, 6144, 3)


def plot(rows):
    """An SVG: a panel a series, both axes logarithmic, speed and memory relative to the series' first value."""
    names = list(dict.fromkeys(row[0] for row in rows))
    width, height, margin = 250, 190, 45
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(names) * (width + margin) + margin} {height + 95}" '
             'font-family="sans-serif" font-size="11">']
    for panel, name in enumerate(names):
        mine = [row for row in rows if row[0] == name]
        left, top = margin + panel * (width + margin), 30
        xs = [math.log2(row[1]) for row in mine]
        lines = {"time a pair": ([mine[0][2] / row[2] for row in mine], "#b03060"),
                 "memory": ([row[3] / mine[0][3] for row in mine], "#3060b0")}
        low, high = -1, max(1.0, *(math.log2(value) for values, _ in lines.values() for value in values))
        x_of = lambda x: left + (x - xs[0]) / (xs[-1] - xs[0]) * width
        y_of = lambda value: top + height - (math.log2(value) - low) / (high - low) * height
        parts.append(f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#888"/>')
        parts.append(f'<text x="{left + width / 2}" y="{top - 10}" text-anchor="middle">{name}</text>')
        for x, row in zip(xs, mine):
            parts.append(f'<text x="{x_of(x):.0f}" y="{top + height + 15}" text-anchor="middle">{row[1]}</text>')
        power = 0
        while power <= high:
            y = y_of(2**power)
            parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
            parts.append(f'<text x="{left - 4}" y="{y + 4:.1f}" text-anchor="end">{2**power}</text>')
            power += 1
        for number, (label, (values, color)) in enumerate(lines.items()):
            points = " ".join(f"{x_of(x):.1f},{y_of(value):.1f}" for x, value in zip(xs, values))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
            parts.append(f'<text x="{left + 4 + number * 100}" y="{top + height + 33}" fill="{color}">{label}</text>')
    parts.append(f'<text x="{margin}" y="{height + 85}">relative to the first value of each panel</text></svg>\n')
    return "\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    work, remove = scratch_folder(options.work)
    rows = []
    for name, value, speed, memory in series(work):
        rows.append((name, value, speed, memory))
        print(f"{name:16} {value:6}  {speed:8.2f} pairs/s  {memory:8.0f} MiB", flush=True)
    remove()
    if options.write:
        table = markdown_table([("what grows", "value", "pairs a second", "peak memory, MiB"),
                                *((name, str(value), f"{speed:.2f}", f"{memory:.0f}") for name, value, speed, memory in rows)])
        put_into_page("performance.md", "growth", table)
        (SOURCE / "docs/growth.svg").write_text(plot(rows))


main()
