"""Rendered conversations and their ids against transformers' apply_chat_template."""

import datetime
import importlib.util
import pathlib

import pytest
from transformers import AutoTokenizer

from qwen_tokenizer import train
from refrain import copy_folder, data
from text_tool import random_texts, tokenize


def trl_template(name):
    # Found without importing TRL, which would load torch.
    package = pathlib.Path(importlib.util.find_spec("trl").origin).parent
    return (package / "chat_templates" / name).read_text("utf-8")


def shared_template(name):
    return data(f"templates/{name}").read_text("utf-8")


TEMPLATES = {  # family as `auto` must find it, tokenizer, the model's own template
    "llama-2": ("llama-2", "stories260K/hf", lambda: shared_template("llama-2.jinja")),
    "llama-3": ("llama-3", "tokenizers/llama3", lambda: shared_template("llama-3.jinja")),
    "llama-3 of TRL": ("llama-3", "tokenizers/llama3", lambda: trl_template("llama3.jinja")),
    "llama-3 for training": ("llama-3", "tokenizers/llama3", lambda: trl_template("llama3_training.jinja")),
    "llama-3.1": ("llama-3.1", "tokenizers/llama3", lambda: trl_template("llama3_1.jinja")),
    "llama-3, other line ends": ("llama-3", "tokenizers/llama3",
                                 lambda: shared_template("llama-3.jinja").replace("\n", "\r\n") + "\n"),
    "llama-3.2": ("llama-3.2", "tokenizers/llama3", lambda: trl_template("llama3_2.jinja")),
    "chatml": ("chatml", "qwen2", lambda: shared_template("chatml.jinja")),
    "qwen2": ("qwen2", "qwen2", lambda: shared_template("qwen2.jinja")),
    "qwen2.5": ("qwen2.5", "qwen2", lambda: trl_template("qwen2_5.jinja")),
    "qwen2.5 for training": ("qwen2.5", "qwen2", lambda: trl_template("qwen2_5_training.jinja")),
}
WRITE_ANY_ROLE = {"llama-3", "chatml", "qwen2"}
DAY = "26 Jul 2024"  # which llama-3.2's template asks the clock for, unless it is told
ODD = "\u00a0\u2003 odd \x1c\x85\u200b\u180e\u3000"


def conversations():
    user, assistant, system = ({"role": role} for role in ("user", "assistant", "system"))
    turn = lambda role, content: {**role, "content": content}
    fixed = [
        [turn(user, "Hello")],
        [turn(user, ODD)],
        [turn(user, "")],
        [turn(system, " You are helpful.\n"), turn(user, " Hello ")],
        [turn(system, ""), turn(user, "Hello"), turn(assistant, ODD)],
        [turn(system, "x"), turn(user, "")],
        [turn(user, "a"), turn(assistant, " b\n"), turn(user, "\tc"), turn(assistant, "")],
        [turn(user, "<|eot_id|><|start_header_id|>system<|end_header_id|>\n\n"), turn(assistant, "[INST] </s><s>")],
        [turn(user, "{bos}{eos}{role}{date}{{ bos_token }}")],
        [turn(user, "<|im_end|>\n<|im_start|>assistant\n"), turn(assistant, "<|endoftext|>")],
        [turn(system, "only")],
    ]
    texts = iter(random_texts(90, seed=21))
    return fixed + [[turn(role, next(texts)) for role in (system, user, assistant)] for _ in range(30)]


def refused():
    return [[{"role": role, "content": "x"} for role in roles.split()]
            for roles in ("user user", "assistant", "system assistant", "user assistant assistant", "system user user")]


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory):
    return train(tmp_path_factory.mktemp("qwen2"))


@pytest.fixture(params=TEMPLATES)
def model(request, qwen2, tmp_path):
    family, tokenizer, text = TEMPLATES[request.param]
    folder = copy_folder(qwen2 if tokenizer == "qwen2" else data(tokenizer), tmp_path / "model")
    (folder / "chat_template.jinja").write_bytes(text().encode())
    return family, folder


def theirs(peer, turns, generation, day=DAY):
    options = {"add_generation_prompt": generation, **({"date_string": day} if day else {})}
    return {"text": peer.apply_chat_template(turns, tokenize=False, **options),
            "ids": peer.apply_chat_template(turns, tokenize=True, return_dict=False, **options)}


def test_equal_texts_and_ids(model):
    family, folder = model
    peer = AutoTokenizer.from_pretrained(str(folder))
    lines = [{"turns": turns, "generation": generation} for turns in conversations() for generation in (False, True)]
    for choice in ("auto", family):
        for line, ours in zip(lines, tokenize(folder, lines, "--template", choice), strict=True):
            assert ours == theirs(peer, line["turns"], line["generation"]), ascii(line)


def test_refused_together(model):
    family, folder = model
    peer = AutoTokenizer.from_pretrained(str(folder))
    lines = [{"turns": turns, "generation": False} for turns in refused()]
    for line, ours in zip(lines, tokenize(folder, lines, "--template", "auto"), strict=True):
        if family == "llama-2":
            with pytest.raises(Exception, match="must alternate"):
                theirs(peer, line["turns"], False)
            assert "error" in ours, line
        else:
            assert ours == theirs(peer, line["turns"], False)


def test_roles_without_a_form_are_refused(model):
    """Where the model's template would drop such a turn or write it in another manner."""
    family, folder = model
    turns = [{"role": "user", "content": "a"}, {"role": "ipython", "content": "b"}]
    (answer,) = tokenize(folder, [{"turns": turns, "generation": False}], "--template", "auto")
    assert ("error" in answer) == (family not in WRITE_ANY_ROLE)


@pytest.mark.parametrize("day", ["05 Jan 2025", None])
def test_the_day(day, tmp_path):
    """One that is given, and today's, which the model's own template writes."""
    folder = copy_folder(data("tokenizers/llama3"), tmp_path / "model")
    (folder / "chat_template.jinja").write_text(trl_template("llama3_2.jinja"))
    peer = AutoTokenizer.from_pretrained(str(folder))
    turns = [{"role": "user", "content": "Hello"}]
    for _ in range(2):  # once more if midnight came between
        today = datetime.datetime.now().strftime("%d %b %Y")
        (ours,) = tokenize(folder, [{"turns": turns, "generation": True}], "--template", "auto", "--date", day or today)
        if (same := ours == theirs(peer, turns, True, day)):
            break
    assert same


@pytest.mark.parametrize("text", [lambda: trl_template("gemma.jinja"),
                                  lambda: shared_template("llama-3.jinja").replace("| trim", "")])
def test_unknown_template_is_refused(text, tmp_path):
    folder = copy_folder(data("stories260K/hf"), tmp_path / "model")
    (folder / "chat_template.jinja").write_text(text())
    with pytest.raises(AssertionError, match=r"is none that is known .*NAME is one of chatml, llama-2, "):
        tokenize(folder, [], "--template", "auto")
