"""256 prompts of mixed lengths, answers of 16 to 256 tokens (greedy; some tokens end an answer, so that lengths differ as
they do in life), a Llama of 56 M parameters: refrain-generate as a whole process, from start to its file, against
transformers' `generate` alone, at its best batch size. Same model, prompts and number type. Where answers differ, they
differ at near ties: how many tokens are equal is printed."""

import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

import h5py
from bench import BIN, MODEL, call, scratch_folder, write_model
from transformers_peer import fastest_batch, left_padded, load_model, peer_parser, run_peer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "helpers"))

from qwen_tokenizer import train  # noqa: E402

LONGEST = 256
# One token in so many ends an answer.
TOKENS_A_STOP = 128


def write_inputs(work, prompts):
    (work / "tokenizer").mkdir(exist_ok=True)
    tokenizer = train(work / "tokenizer", 300, ["the little dog ran to the red house"])
    draw = random.Random(0)
    write_model(work / "ck", initializer_range=0.05)
    for file in tokenizer.iterdir():
        (work / "ck" / file.name).write_bytes(file.read_bytes())
    call(BIN / "refrain-convert", "export", "--checkpoint", work / "ck", "--out", work / "model")
    for file in tokenizer.iterdir():
        (work / "model" / file.name).write_bytes(file.read_bytes())
    stops = draw.sample(range(3, MODEL["vocab_size"]), MODEL["vocab_size"] // TOKENS_A_STOP)
    (work / "model/generation_config.json").write_text(json.dumps({"eos_token_id": stops, "pad_token_id": 0}))
    rows = [{"prompt_ids": [draw.randrange(3, MODEL["vocab_size"]) for _ in range(draw.randint(20, 250))], "row_id": i}
            for i in range(prompts)]
    (work / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    call(BIN / "refrain-shard", "--prompts", work / "prompts.jsonl", "--tokenizer", work / "model", "--configuration", "all",
         "--out", work / "prompts.h5", "--overwrite")


def ours(work, threads, dtype):
    out = work / "out.h5"
    out.unlink(missing_ok=True)
    begin = time.perf_counter()
    call(BIN / "refrain-generate", "--checkpoint", work / "model", "--prompts", work / "prompts.h5", "--out", out,
         "--max-new-tokens", LONGEST, "--dtype", dtype, threads=threads)
    return time.perf_counter() - begin


def transformers_alone(work, batch, dtype):
    """In a process of its own; prints seconds. Prompts sorted by length, so that little is padded."""
    import torch

    model = load_model(work, dtype)
    prompts = sorted((json.loads(line)["prompt_ids"] for line in (work / "prompts.jsonl").read_text().splitlines()), key=len)
    begin = time.perf_counter()
    with torch.no_grad():
        for first in range(0, len(prompts), batch):
            ids, mask = left_padded(prompts[first:first + batch])
            model.generate(ids, attention_mask=mask, max_new_tokens=LONGEST, do_sample=False)
    print(time.perf_counter() - begin)


def vllm(python, work, threads, dtype):
    """Answers by vLLM's CPU build, in an environment of its own."""
    done = subprocess.run([python, pathlib.Path(__file__).with_name("generate_vllm.py"), work, "--longest", str(LONGEST),
                           "--dtype", {"fp32": "float32", "bf16": "bfloat16"}[dtype]], capture_output=True, text=True,
                          env=os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "4", "OMP_NUM_THREADS": str(threads),
                                            "VLLM_CPU_OMP_THREADS_BIND": f"0-{threads - 1}", "VLLM_LOGGING_LEVEL": "ERROR"})
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])["seconds"]


def llamacpp(python, work, threads):
    """Answers by llama.cpp in fp32, in an environment of its own. Seconds, and the share of answers equal to ours."""
    done = subprocess.run([python, pathlib.Path(__file__).with_name("generate_llamacpp.py"), work, "--longest", str(LONGEST),
                           "--threads", str(threads)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    result = json.loads(done.stdout.splitlines()[-1])
    with h5py.File(work / "out.h5") as out:
        tokens, begin, length = (out[name][:] for name in ("tokens", "response/begin", "response/length"))
    found = [tokens[at:at + count].tolist() for at, count in zip(begin, length, strict=True)]
    return result["seconds"], statistics.mean(a == b for a, b in zip(result["answers"], found, strict=True))


def main():
    parser = peer_parser(__doc__, batches=[8, 32, 64])
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--vllm", metavar="PYTHON", help="of an environment with vLLM's CPU build (vllm-cpu), to be measured too")
    parser.add_argument("--llamacpp", metavar="PYTHON", help="of an environment with llama-cpp-python and gguf, likewise")
    options = parser.parse_args()
    if options.transformers:
        return transformers_alone(options.work, options.transformers, options.dtype)
    work, clean = scratch_folder(options.work)
    write_inputs(work, options.prompts)
    theirs = lambda batch: run_peer(__file__, work, batch, options)
    best = fastest_batch(options, theirs, options.prompts, "answers")
    rounds = [(ours(work, options.threads, options.dtype), theirs(best)) for _ in range(options.repeats)]
    ratios = sorted(b / a for a, b in rounds)
    print(f"refrain-generate {options.prompts / statistics.median(a for a, _ in rounds):6.2f} answers/s")
    print(f"transformers     {options.prompts / statistics.median(b for _, b in rounds):6.2f} answers/s (batches of {best})")
    if options.vllm:
        print(f"vLLM             {options.prompts / vllm(options.vllm, work, options.threads, options.dtype):6.2f} answers/s")
    if options.llamacpp:
        seconds, equal = llamacpp(options.llamacpp, work, options.threads)
        print(f"llama.cpp        {options.prompts / seconds:6.2f} answers/s ({equal:.0%} of its answers equal refrain-generate's)")
    print(f"{options.dtype}: speed ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    clean()


main()
