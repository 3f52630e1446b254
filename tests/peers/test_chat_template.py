"""Rendered conversations and their ids against transformers' apply_chat_template."""

import importlib.util
import pathlib

import pytest
from transformers import AutoTokenizer

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
}
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
        [turn(user, "{bos}{eos}{role}{{ bos_token }}")],
        [turn(system, "only")],
    ]
    texts = iter(random_texts(90, seed=21))
    return fixed + [[turn(role, next(texts)) for role in (system, user, assistant)] for _ in range(30)]


def refused():
    return [[{"role": role, "content": "x"} for role in roles.split()]
            for roles in ("user user", "assistant", "system assistant", "user assistant assistant", "system user user")]


@pytest.fixture(params=TEMPLATES)
def model(request, tmp_path):
    family, tokenizer, text = TEMPLATES[request.param]
    folder = copy_folder(data(tokenizer), tmp_path / "model")
    (folder / "chat_template.jinja").write_bytes(text().encode())
    return family, folder


def theirs(peer, turns, generation):
    return {"text": peer.apply_chat_template(turns, tokenize=False, add_generation_prompt=generation),
            "ids": peer.apply_chat_template(turns, tokenize=True, add_generation_prompt=generation, return_dict=False)}


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
    assert ("error" in answer) == (family != "llama-3")


@pytest.mark.parametrize("text", [lambda: trl_template("llama3_2.jinja"), lambda: trl_template("gemma.jinja"),
                                  lambda: shared_template("llama-3.jinja").replace("| trim", "")])
def test_unknown_template_is_refused(text, tmp_path):
    folder = copy_folder(data("stories260K/hf"), tmp_path / "model")
    (folder / "chat_template.jinja").write_text(text())
    with pytest.raises(AssertionError, match=r"is none that is known .*NAME is one of llama-2, llama-3, llama-3.1\)"):
        tokenize(folder, [], "--template", "auto")
