"""Answers against transformers' greedy search, whatever the layout, the batch and the cache."""

import json

import h5py
import numpy as np
import pytest
import torch

from refrain import data, run

LAYOUTS = [(1, 1), (2, 2), (2, 1), (4, 2)]
NEW_TOKENS = 24
FAMILIES = ["llama", "qwen2"]


def random_model(folder, family):
    """Random weights, wide apart so that ties are rare; the tokenizer is a real one."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    make_config, make = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}[family]
    torch.manual_seed(3)
    model = make(make_config(vocab_size=520, hidden_size=64, intermediate_size=96, num_hidden_layers=3,
                             num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=512,
                             tie_word_embeddings=False, initializer_range=0.2, eos_token_id=2))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text(data(f"stories260K/hf/{name}").read_text())
    (folder / "chat_template.jinja").write_text(data("templates/llama-2.jinja").read_text())
    return model.eval()


def prompts(folder, model, count):
    """Prompts of mixed lengths, of which some begin alike."""
    draw = np.random.default_rng(11)
    words = "the little dog ran to a big red house and saw one happy girl who had no name".split()
    say = lambda length: " ".join(draw.choice(words, length))
    beginnings = ["", say(30) + ". ", say(60) + ". "]
    rows = [{"prompt": beginnings[i % 3] + say(draw.integers(1, 40)), "lang": "en", "row_id": i} for i in range(count)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run("shard", "--prompts", folder / "prompts.jsonl", "--tokenizer", model, "--configuration", "all", "--out",
        folder / "prompts.h5")
    with h5py.File(folder / "prompts.h5") as file:
        tokens = file["tokens"][:]
        return [tokens[begin:begin + length].tolist()
                for begin, length in zip(file["prompt/begin"], file["prompt/length"])]


def answers(path):
    with h5py.File(path) as file:
        tokens = file["tokens"][:]
        return [tokens[begin:begin + length].tolist()
                for begin, length in zip(file["response/begin"], file["response/length"])]


def greedy(model, prompt):
    """transformers' answer, and the logits that each of its tokens was chosen from."""
    with torch.no_grad():
        out = model.generate(torch.tensor([prompt]), max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0,
                             output_scores=True, return_dict_in_generate=True)
    return out.sequences[0, len(prompt):].tolist(), [scores[0] for scores in out.scores]


class Case:
    def __init__(self, folder, family):
        self.folder = folder
        self.model = random_model(folder / "model", family)
        self.prompts = prompts(folder, folder / "model", 25)
        self.greedy = [greedy(self.model, prompt) for prompt in self.prompts]

    def generate(self, name, ranks, *options):
        out = self.folder / f"{name}.h5"
        run("generate", "--checkpoint", self.folder / "model", "--prompts", self.folder / "prompts.h5", "--out", out,
            "--max-new-tokens", NEW_TOKENS, "--dtype", "fp32", *options, ranks=ranks)
        return answers(out)

    def check_greedy(self, found):
        assert len(found) == len(self.prompts)
        for ours, (theirs, logits) in zip(found, self.greedy, strict=True):
            if ours == theirs:
                continue
            first = next(i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b)
            near = logits[first][[ours[first], theirs[first]]]
            assert abs(near[0] - near[1]) < 1e-4, f"token {first}: {near} is no tie"


@pytest.fixture(scope="module", params=FAMILIES)
def case(tmp_path_factory, request):
    return Case(tmp_path_factory.mktemp(request.param), request.param)


@pytest.mark.parametrize("ranks,tensor", LAYOUTS)
def test_greedy_answers_are_transformers(case, ranks, tensor):
    case.check_greedy(case.generate(f"greedy-{ranks}-{tensor}", ranks, "--tensor-parallel", tensor))


def test_a_small_cache_changes_no_answer(case):
    """Room for little more than the longest row: answers give their places up and come back."""
    page = 2 * 3 * 16 * 4 * 8 * 4
    pages = (max(map(len, case.prompts)) + NEW_TOKENS) // 16 + 3
    case.check_greedy(case.generate("small", 1, "--cache-memory", pages * page / 2**30))


def test_drawn_answers_do_not_depend_on_the_layout(case):
    words = ["--temperature", 0.8, "--top-p", 0.9, "--top-k", 50, "--samples", 2, "--seed", 5]
    alone = case.generate("drawn-1", 1, *words)
    assert len({tuple(answer) for answer in alone}) > len(alone) * 0.9
    for ranks, tensor in LAYOUTS[1:]:
        assert case.generate(f"drawn-{ranks}-{tensor}", ranks, "--tensor-parallel", tensor, *words) == alone
