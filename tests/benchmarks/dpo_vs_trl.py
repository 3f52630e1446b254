"""DPO on a 56 M-parameter Llama: ours as a whole process (load, reference pass, training, final checkpoint) against
TRL's precomputed reference pass and train() alone, at TRL's best micro-batch. Same model, pairs, order and steps. Also
without the prompt shared by both answers, with the least memory, in bf16, and TRL with Liger's chunked loss."""

import argparse
import importlib.util
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("REFRAIN_BIN", SOURCE / "build/bin"))
GLOBAL_BATCH = 16
# Liger's kernels that need a GPU; what is left is its DPO loss, chunked, in plain torch.
TRITON_KERNELS = ["rope", "swiglu", "rms_norm", "cross_entropy", "fused_linear_cross_entropy"]
LEAST_MEMORY = ["--recompute", "block", "--logits-chunk-rows", "128"]


def write_inputs(work, pairs):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=32000, hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8,
                         num_key_value_heads=4, tie_word_embeddings=False, max_position_embeddings=1024)
    model = LlamaForCausalLM(config)
    model.save_pretrained(work / "model")
    draw = random.Random(0)
    ids = lambda low, high: [draw.randrange(3, 32000) for _ in range(draw.randint(low, high))]
    rows = [{"prompt_ids": ids(60, 250), "chosen_ids": ids(20, 200), "rejected_ids": ids(20, 200)} for _ in range(pairs)]
    (work / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"model: {sum(p.numel() for p in model.parameters()):,} parameters; {pairs} pairs, global batch {GLOBAL_BATCH}, fp32",
          flush=True)


def train_with_trl(work, micro_batch, dtype, liger):
    """In a process of its own; prints one JSON line."""
    import resource

    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from tokenizers import Tokenizer, models
    from trl import DPOConfig, DPOTrainer

    class OnReadyTokens(DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    rows = [json.loads(line) for line in (work / "pairs.jsonl").read_text().splitlines()]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"<pad>": 0}, unk_token="<pad>")),
                                        pad_token="<pad>", eos_token="<pad>")
    model = AutoModelForCausalLM.from_pretrained(work / "model", dtype=getattr(torch, dtype))
    with tempfile.TemporaryDirectory() as out:
        config = DPOConfig(output_dir=out, per_device_train_batch_size=micro_batch,
                           gradient_accumulation_steps=GLOBAL_BATCH // micro_batch, num_train_epochs=1, learning_rate=1e-6,
                           beta=0.1, max_length=1024, precompute_ref_log_probs=True, save_strategy="no", report_to="none",
                           bf16=dtype == "bfloat16", use_cpu=True, disable_tqdm=True, logging_steps=1,
                           gradient_checkpointing=False, precompute_ref_batch_size=micro_batch, use_liger_kernel=liger,
                           liger_kernel_config=dict.fromkeys(TRITON_KERNELS, False) if liger else None)
        begin = time.perf_counter()
        trainer = OnReadyTokens(model=model, args=config, processing_class=tokenizer, train_dataset=Dataset.from_list(rows))
        trainer.train()
        seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


def liger_is_there():
    return importlib.util.find_spec("liger_kernel") is not None


def run_trl(work, micro_batch, threads, dtype="float32", liger=False):
    with tempfile.TemporaryDirectory() as cache:  # a fresh cache, or the second run finds the reference pass of the first
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HOME": cache, "HF_HUB_OFFLINE": "1",
                                    "HF_DATASETS_CACHE": cache, "TOKENIZERS_PARALLELISM": "false"}
        done = subprocess.run([sys.executable, __file__, "--trl", str(micro_batch), "--work", str(work), "--dtype", dtype,
                               *(["--liger"] if liger else [])], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def run_ours(work, threads, micro_batch_tokens, *more):
    run_dir = work / "run"
    shutil.rmtree(run_dir, ignore_errors=True)
    with tempfile.TemporaryFile("w+") as said:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [BIN / "refrain-train", "--pairs", work / "pairs.h5", "--init", work / "model", "--run-dir", run_dir,
             "--epochs", "1", "--global-batch-pairs", str(GLOBAL_BATCH),
             "--micro-batch-tokens", str(micro_batch_tokens), *more],
            env=os.environ | {"OMP_NUM_THREADS": str(threads)}, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        if status != 0:
            said.seek(0)
            sys.exit(said.read())
    return {"seconds": seconds, "peak_kib": usage.ru_maxrss}


def shard(work):
    subprocess.run([BIN / "refrain-shard", "--pairs", work / "pairs.jsonl", "--tokenizer", work / "model", "--configuration", "all",
                    "--out", work / "pairs.h5"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--micro-batch-tokens", type=int, default=1024, help="of refrain-train")
    parser.add_argument("--micro-batches", type=int, nargs="+", default=[1, 2, 4, 8, 16], help="of TRL, to choose the fastest from")
    parser.add_argument("--dtypes", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--trl", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--dtype", default="float32", help=argparse.SUPPRESS)
    parser.add_argument("--liger", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.trl:
        return train_with_trl(options.work, options.trl, options.dtype, options.liger)

    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or pathlib.Path(scratch)
        write_inputs(work, options.pairs)
        shard(work)
        tried = {}
        for micro in options.micro_batches:
            tried[micro] = result = run_trl(work, micro, options.threads)
            print(f"TRL, micro-batch {micro:2}: {options.pairs / result['seconds']:6.2f} pairs/s, "
                  f"{result['peak_kib'] / 2**20:5.2f} GiB", flush=True)
        best = min(tried, key=lambda micro: tried[micro]["seconds"])
        ours = lambda *more: run_ours(work, options.threads, options.micro_batch_tokens, *more)
        trl = lambda **more: run_trl(work, best, options.threads, **more)
        kinds, compared = {}, []
        if "fp32" in options.dtypes:
            kinds |= {"refrain-train, fp32": lambda: ours("--dtype", "fp32"), "TRL, fp32": trl,
                      "refrain-train, fp32, least memory": lambda: ours("--dtype", "fp32", *LEAST_MEMORY),
                      "refrain-train, fp32, prompts not shared": lambda: ours("--dtype", "fp32", "--share-prompt", "off")}
            compared += [("fp32", "refrain-train, fp32", "TRL, fp32"),
                         ("fp32, least memory", "refrain-train, fp32, least memory", "TRL, fp32"),
                         ("fp32, prompts not shared", "refrain-train, fp32, prompts not shared", "TRL, fp32")]
            if liger_is_there():
                kinds |= {"TRL with Liger's loss, fp32": lambda: trl(liger=True)}
                compared += [("fp32, Liger's loss", "refrain-train, fp32", "TRL with Liger's loss, fp32")]
        if "bf16" in options.dtypes:
            kinds |= {"refrain-train, bf16": lambda: ours("--dtype", "bf16"), "TRL, bf16": lambda: trl(dtype="bfloat16")}
            compared += [("bf16", "refrain-train, bf16", "TRL, bf16")]
        print(f"refrain-train: micro-batches of {options.micro_batch_tokens} tokens; TRL: of {best} pairs", flush=True)
        # In turn, so that a drift of the machine's speed meets all.
        rounds = [{name: run() for name, run in kinds.items()} for _ in range(options.repeats)]
        median = lambda name, key: statistics.median(one[name][key] for one in rounds)
        for name in kinds:
            print(f"{name:40} {options.pairs / median(name, 'seconds'):6.2f} pairs/s  {median(name, 'peak_kib') / 2**20:5.2f} GiB")
        for what, a, b in compared:
            ratios = sorted(one[b]["seconds"] / one[a]["seconds"] for one in rounds)
            print(f"{what}: speed ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}), "
                  f"memory ratio {median(a, 'peak_kib') / median(b, 'peak_kib'):.2f}", flush=True)
        amx = "amx_bf16" in pathlib.Path("/proc/cpuinfo").read_text()
        print(f"this CPU has {'' if amx else 'no '}amx_bf16")
        if not liger_is_there():
            print(f"TRL with Liger's loss was not measured: {sys.executable} -m pip install liger-kernel brings it")


main()
