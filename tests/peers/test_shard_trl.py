"""refrain-shard against TRL 1.16's own preparation of the same rows, pair by pair."""

import functools
import json
import tempfile
import types

import pytest
from datasets import Dataset
from transformers import AutoTokenizer
from trl import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from refrain import data, run, stories_with_template
from shard_files import read_pairs, read_prompts, write_jsonl


@functools.cache
def demo_rows():
    text = data("preferences/dpo_en_demo.benign.trl.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def implicit(rows):
    return [{"chosen": row["prompt"] + row["chosen"], "rejected": row["prompt"] + row["rejected"]} for row in rows]


def plain(rows):
    return [{"prompt": row["prompt"][-1]["content"], "chosen": " " + row["chosen"][0]["content"],
             "rejected": " " + row["rejected"][0]["content"]} for row in rows]


def plain_implicit(rows):
    return [{key: row["prompt"] + row[key] for key in ("chosen", "rejected")} for row in plain(rows)]


def odd(rows):
    """What a user's text may hold: special tokens, white space at the ends, scripts, nothing at all."""
    texts = ["<|eot_id|> and <|begin_of_text|>", "  spaces \n\t", "", "</s><s>", "[INST] x [/INST]",
             "Ελληνικά кириллица 日本語 🙂‍↔️", "\u00a0no-break\u3000", "e\u0301 combined", "line\n\nline",
             "<|start_header_id|>user<|end_header_id|>\n\n"]
    return [{"prompt": [{"role": "user", "content": p}], "chosen": [{"role": "assistant", "content": c}],
             "rejected": [{"role": "assistant", "content": r}]}
            for i, p in enumerate(texts) for c, r in [(texts[(i + 1) % 10], texts[(i + 3) % 10])]]


FORMS = {"turns": lambda rows: rows, "implicit turns": implicit, "text": plain, "implicit text": plain_implicit,
         "odd text": odd}


@functools.cache
def tokenizer_folder(name):
    """llama3 as it is; stories260K with the llama-2 template, as transformers 5 writes it: beside the configuration."""
    if name == "llama3":
        return data("tokenizers/llama3")
    return stories_with_template(f"{tempfile.mkdtemp()}/stories260K")


@functools.cache
def peer_tokenizer(name):
    return AutoTokenizer.from_pretrained(str(tokenizer_folder(name)))


def trl_pairs(rows, tokenizer, max_length, tmp_path):
    """The ids that TRL would train on: its tokenised data set, cut by its collator."""
    arguments = DPOConfig(output_dir=str(tmp_path), max_length=max_length, use_cpu=True, bf16=False)
    prepared = DPOTrainer._prepare_dataset(types.SimpleNamespace(_tokenizer=tokenizer), Dataset.from_list(rows),
                                           tokenizer, arguments, "train")
    collator = DataCollatorForPreference(pad_token_id=0, max_length=max_length)
    result = []
    for example in prepared:
        batch = collator([example])
        parts = [[ids[keep == 1].tolist() for keep in (attention * (1 - mask), attention * mask)]
                 for ids, attention, mask in zip(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])]
        assert parts[0][0] == parts[1][0]
        result.append({"prompt": parts[0][0], "chosen": parts[0][1], "rejected": parts[1][1]})
    return result


CASES = [(form, length) for form in FORMS for length in (1024, 256, 64) if length == 256 or form in ("turns", "text")]


@pytest.mark.parametrize("form,max_length", CASES)
@pytest.mark.parametrize("name", ["llama3", "stories260K"])
def test_ids_equal_trl(name, form, max_length, tmp_path):
    rows = FORMS[form](demo_rows())
    expected = trl_pairs(rows, peer_tokenizer(name), max_length, tmp_path)
    done = run("shard", "--pairs", write_jsonl(tmp_path / "in.jsonl", rows), "--tokenizer", tokenizer_folder(name),
               "--configuration", "all", "--max-length", max_length, "--out", tmp_path / "out.h5")
    ours = [{part: row[part] for part in ("prompt", "chosen", "rejected")} for row in read_pairs(tmp_path / "out.h5")]
    assert len(ours) == len(expected), done.stdout
    for i, (mine, theirs) in enumerate(zip(ours, expected)):
        assert mine == theirs, f"pair {i}"
    if len(expected) < len(rows):
        assert f"dropped {len(rows) - len(expected)}: the prompt alone fills --max-length {max_length}" in done.stdout
    if max_length == 64 and form == "turns":
        assert 0 < len(expected) < len(rows)


def test_the_file_itself(tmp_path):
    """The demonstration file as it lies there, at two ranks."""
    run("shard", "--pairs", data("preferences/dpo_en_demo.benign.trl.jsonl"), "--tokenizer", tokenizer_folder("llama3"),
        "--configuration", "all", "--out", tmp_path / "out.h5", ranks=2)
    expected = trl_pairs(demo_rows(), peer_tokenizer("llama3"), 1024, tmp_path)
    ours = read_pairs(tmp_path / "out.h5")
    assert [{part: row[part] for part in ("prompt", "chosen", "rejected")} for row in ours] == expected


def test_prompts_are_apply_chat_template(tmp_path):
    rows = [{"prompt": row["prompt"]} for row in demo_rows() + odd(None)] + [{"prompt": "a string"}, {"prompt": ""}]
    run("shard", "--prompts", write_jsonl(tmp_path / "in.jsonl", rows), "--tokenizer", tokenizer_folder("llama3"),
        "--out", tmp_path / "out.h5")
    ours = read_prompts(tmp_path / "out.h5")
    assert len(ours) == len(rows)
    for i, (mine, row) in enumerate(zip(ours, rows)):
        turns = row["prompt"] if isinstance(row["prompt"], list) else [{"role": "user", "content": row["prompt"]}]
        rendered = peer_tokenizer("llama3").apply_chat_template(turns, add_generation_prompt=True, return_dict=True)
        theirs = rendered["input_ids"]
        assert (mine["ids"], mine["text"], mine["row_id"]) == (theirs, turns[-1]["content"], i)


def legacy_pair(row, tokenizer):
    """TRL <= 0.27 (apply_chat_template, then tokenize_row), without its prompt limit: see docs of --tokenization."""
    prompt = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
    both = [tokenizer.apply_chat_template(row["prompt"] + row[key], tokenize=False) for key in ("chosen", "rejected")]
    for text in both:
        common = 0
        while common < min(len(prompt), len(text)) and prompt[common] == text[common]:
            common += 1
        prompt = prompt[:common]
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    return [encode(prompt)] + [encode(text[len(prompt):]) + [tokenizer.eos_token_id] for text in both]


@pytest.mark.parametrize("name", ["llama3", "stories260K"])
def test_legacy(name, tmp_path):
    tokenizer = peer_tokenizer(name)
    run("shard", "--pairs", write_jsonl(tmp_path / "in.jsonl", demo_rows()), "--tokenizer", tokenizer_folder(name),
        "--configuration", "all", "--tokenization", "trl-legacy", "--max-length", 100000, "--out", tmp_path / "out.h5")
    for row, mine in zip(demo_rows(), read_pairs(tmp_path / "out.h5"), strict=True):
        assert [mine["prompt"], mine["chosen"], mine["rejected"]] == legacy_pair(row, tokenizer)
        if name == "llama3":
            assert mine["chosen"][-2:] == [tokenizer.eos_token_id] * 2
