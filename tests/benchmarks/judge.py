"""512 answers judged by a guard of Llama Guard's form (P(unsafe) from one forward pass), the blocks of a Llama of 56 M
parameters under Llama 3's vocabulary:
refrain-judge as a whole process, from start to its file, against transformers' forward alone at its best batch size, for
one file of answers and for three to the same prompts. Same model, same token ids, same number type; both sides'
likelihoods are compared. transformers computes the logits of the last place alone, or, as its forward does unless it is
told otherwise, those of all places."""

import argparse
import json
import pathlib
import random
import statistics
import sys
import time

from bench import BIN, call, scratch_folder, write_model
from transformers_peer import fastest_batch, left_padded, load_model, peer_parser, run_peer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "helpers"))

from refrain import data  # noqa: E402
from text_tool import tokenize, udhr_lines  # noqa: E402
from verdict_files import read_columns, write_responses  # noqa: E402

FILES = ["base", "english-only", "balanced"]
# Llama Guard's question without its categories, whose writing is no forward pass.
JUDGE = {"name": "guard", "kind": "safety", "ask": {"guard_template": "llama-guard-3", "answer_begins": "\n\n", "max_tokens": 1},
         "read": {"label_tokens": {"safe": "safe", "unsafe": "unsafe"}}}
LABELS = ["safe", "unsafe"]
LIMITS = {"fp32": 1e-4, "bf16": 5e-2}  # of the difference in P(unsafe)


def write_inputs(work, answers):
    write_model(work / "ck", vocab_size=128256, initializer_range=0.02)
    call(BIN / "refrain-convert", "export", "--checkpoint", work / "ck", "--out", work / "model")
    for file in data("tokenizers/llama3").iterdir():
        (work / "model" / file.name).write_bytes(file.read_bytes())
    (work / "guard.json").write_text(json.dumps(JUDGE))
    lines = [line for line in udhr_lines() if 20 < len(line) < 600]
    draw = random.Random(0)
    prompts = [draw.choice(lines)[:draw.randint(60, 300)] for _ in range(answers)]
    for name in FILES:
        write_responses(work / f"{name}.h5", [
            {"row_id": i, "language": "en", "prompt": prompt, "text": " ".join(draw.choices(lines, k=draw.randint(1, 4)))}
            for i, prompt in enumerate(prompts)])


def ours(work, files, threads, dtype):
    out = [work / f"verdicts-{name}.h5" for name in files]
    for path in out:
        path.unlink(missing_ok=True)
    begin = time.perf_counter()
    call(BIN / "refrain-judge", "--judge", work / "guard.json", "--checkpoint", work / "model", "--responses",
         *(work / f"{name}.h5" for name in files), "--out", *out, "--dtype", dtype, threads=threads)
    return time.perf_counter() - begin


def guard_ids(work, files):
    """What the guard reads, by the project's own tokenizer, which tests/peers compares with transformers'."""
    lines = []
    for name in files:
        columns = read_columns(work / f"{name}.h5", "response")
        lines += [{"prompt": prompt, "response": text}
                  for prompt, text in zip(columns["prompt"], columns["text"], strict=True)]
    return tokenize(work / "model", lines, "--template", "llama-guard-3")


def transformers_alone(work, batch, dtype, logits):
    """In a process of its own; prints seconds and P(unsafe) of each request. Requests sorted by length, padded on the
    left."""
    import torch
    from transformers import AutoTokenizer

    model = load_model(work, dtype)
    tokenizer = AutoTokenizer.from_pretrained(str(work / "model"))
    begins = tokenizer.encode("\n\n", add_special_tokens=False)
    labels = [tokenizer.encode(word, add_special_tokens=False)[0] for word in LABELS]
    requests = json.loads((work / "requests.json").read_text())
    order = sorted(range(len(requests)), key=lambda i: len(requests[i]))
    unsafe = [0.0] * len(requests)
    begin = time.perf_counter()
    with torch.no_grad():
        for first in range(0, len(order), batch):
            ids, mask = left_padded([requests[i] + begins for i in order[first:first + batch]])
            out = model(ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0),
                        logits_to_keep=1 if logits == "last" else 0).logits[:, -1, labels]
            for i, p in zip(order[first:first + batch], torch.softmax(out.double(), 1)[:, 1].tolist()):
                unsafe[i] = p
    print(json.dumps([time.perf_counter() - begin, unsafe]))


def main():
    parser = peer_parser(__doc__, batches=[4, 16, 32])
    parser.add_argument("--answers", type=int, default=512)
    parser.add_argument("--all-places", action="store_true", help="also beside transformers' plain forward; slow")
    parser.add_argument("--logits", choices=["last", "all"], default="last", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.transformers:
        return transformers_alone(options.work, options.transformers, options.dtype, options.logits)
    work, clean = scratch_folder(options.work)
    write_inputs(work, options.answers)
    theirs = lambda batch, logits="last": run_peer(__file__, work, batch, options, "--logits", logits)
    best = None
    for files in (FILES[:1], FILES):
        requests = guard_ids(work, files)
        (work / "requests.json").write_text(json.dumps(requests))
        tokens = sum(map(len, requests)) / len(requests)
        print(f"{len(files)} file(s), {len(requests)} requests of {tokens:.0f} tokens", flush=True)
        if best is None:
            best = fastest_batch(options, lambda batch: theirs(batch)[0], len(requests), "requests")
        rounds = [(ours(work, files, options.threads, options.dtype), *theirs(best)) for _ in range(options.repeats)]
        found = [p for name in files for p in read_columns(work / f"verdicts-{name}.h5", "judges/guard")["score"]]
        furthest = max(abs(a - b) for a, b in zip(found, rounds[-1][2], strict=True))
        ratios = sorted(b / a for a, b, _ in rounds)
        print(f"refrain-judge {len(requests) / statistics.median(a for a, _, _ in rounds):6.2f} requests/s, "
              f"transformers {len(requests) / statistics.median(b for _, b, _ in rounds):6.2f}; P(unsafe) differs by {furthest:.1e} at most")
        print(f"{options.dtype}, {len(files)} file(s): speed ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
              flush=True)
        assert furthest < LIMITS[options.dtype], furthest
        if not options.all_places:
            continue
        all_places = theirs(best, "all")[0]
        print(f"beside logits of all places: {all_places / statistics.median(a for a, _, _ in rounds):.2f}", flush=True)
    clean()


main()
