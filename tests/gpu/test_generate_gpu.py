"""Answers and guards on GPUs in bf16, against transformers in fp32: where tokens differ, their logits lie close."""

import json
import subprocess

import pytest
import torch

from refrain import run
from small_runs import write_model
from verdict_files import read_columns, write_responses

GPUS = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout.count("GPU ")
NEW_TOKENS, NEAR = 24, 0.1  # logits of this model are about 1 apart
LAYOUTS = [(1, 1), (2, 2), (2, 1), (4, 2)]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    from refrain import data
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("generate")
    checkpoint = write_model(folder / "checkpoint", vocab_size=520, hidden_size=256, intermediate_size=512,
                             num_attention_heads=8, num_key_value_heads=4, head_dim=64, initializer_range=0.05,
                             max_position_embeddings=512)
    run("convert", "export", "--checkpoint", checkpoint, "--out", folder / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / "model" / name).write_text(data(f"stories260K/hf/{name}").read_text())
    (folder / "model/chat_template.jinja").write_text(data("templates/llama-2.jinja").read_text())
    draw = torch.Generator().manual_seed(0)
    prompts = [torch.randint(3, 512, (length,), generator=draw).tolist() for length in range(5, 200, 13)]
    (folder / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt_ids": ids, "row_id": i}) + "\n" for i, ids in enumerate(prompts)))
    run("shard", "--prompts", folder / "prompts.jsonl", "--tokenizer", folder / "model", "--configuration", "all", "--out",
        folder / "prompts.h5")
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval()
    return folder, prompts, model


def need(ranks):
    if ranks > GPUS:
        pytest.skip(f"{ranks} ranks want {ranks} GPUs, and this machine has {GPUS}")


@pytest.mark.parametrize("ranks,tensor", LAYOUTS)
def test_answers_are_transformers_but_for_near_ties(case, ranks, tensor, tmp_path):
    need(ranks)
    folder, prompts, model = case
    run("generate", "--checkpoint", folder / "model", "--prompts", folder / "prompts.h5", "--out", tmp_path / "out.h5",
        "--max-new-tokens", NEW_TOKENS, "--device", "cuda", "--tensor-parallel", tensor, ranks=ranks)
    found = read_columns(tmp_path / "out.h5", "response")
    with torch.no_grad():
        tokens = read_tokens(tmp_path / "out.h5")
        for prompt, begin, length in zip(prompts, found["begin"], found["length"], strict=True):
            answer = tokens[begin:begin + length]
            logits = model(torch.tensor([prompt + answer])).logits[0]
            for i, token in enumerate(answer):
                at = logits[len(prompt) - 1 + i]
                assert at.max() - at[token] < NEAR, (i, token)


def read_tokens(path):
    import h5py

    with h5py.File(path) as file:
        return file["tokens"][:].tolist()


@pytest.mark.parametrize("ranks,tensor", [(1, 1), (2, 2)])
def test_a_guard_says_nearly_what_it_says_on_the_cpu(case, ranks, tensor, tmp_path):
    need(ranks)
    folder, _, _ = case
    guard = tmp_path / "guard.json"
    guard.write_text(json.dumps({
        "name": "guard", "kind": "safety", "ask": {"user": ["{prompt}", "{response}"], "max_tokens": 4},
        "read": {"label_tokens": {"safe": "a", "unsafe": "the"}}}))
    rows = [{"row_id": i, "language": "en", "prompt": f"restricted activity {i}", "text": "no " * (i + 1)} for i in range(20)]
    write_responses(tmp_path / "answers.h5", rows)
    scores = {}
    for device, extra in (("cpu", ["--dtype", "fp32"]), ("cuda", ["--tensor-parallel", tensor])):
        run("judge", "--judge", guard, "--checkpoint", folder / "model", "--responses", tmp_path / "answers.h5", "--out",
            tmp_path / f"{device}.h5", "--device", device, *extra, ranks=ranks if device == "cuda" else 1)
        scores[device] = read_columns(tmp_path / f"{device}.h5", "judges/guard")["score"]
    assert scores["cuda"] == pytest.approx(scores["cpu"], abs=0.03)
