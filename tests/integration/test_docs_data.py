"""Every sample of docs/data.md goes through refrain-shard, and becomes what the page says."""

import gzip
import json
import re

import pytest

from docs_pages import DOCS, fenced, section
from refrain import fails, run
from shard_files import read_pairs, read_prompts, tiny_text, tiny_tokenizer

PAGE = (DOCS / "data.md").read_text()
FORMS = ["Turns, implicit prompt", "Turns, explicit prompt", "Text, explicit prompt", "Text, implicit prompt",
         "Ready token ids"]
QUESTION = "How do I do restricted activity 17?"


@pytest.fixture
def shard(tmp_path):
    """Runs refrain-shard over a file; the tokenizer knows bytes alone, and so many ids as a Llama 2 has."""
    model = tiny_tokenizer(tmp_path / "model", vocab_size=32000)

    def call(kind, file, *more):
        run("shard", f"--{kind}", file, "--tokenizer", model, "--chat-template", "llama-3", "--out", tmp_path / "out.h5",
            *more)
        return (read_pairs if kind == "pairs" else read_prompts)(tmp_path / "out.h5")
    return call


def texts(pair):
    return [tiny_text(pair[part]) for part in ("prompt", "chosen", "rejected")]


def check_pair(pair, form):
    assert (pair["row_id"], pair["language"], pair["category"]) == (17, "en", "S2")
    if form == "Ready token ids":
        assert [pair[part] for part in ("prompt", "chosen", "rejected")] == [[1, 15043], [306, 2609, 2], [12433, 697, 2]]
        return
    prompt, chosen, rejected = texts(pair)
    assert QUESTION in prompt and chosen.strip() == "I cannot help with that." and rejected.strip() == "Step one ..."
    assert ("Be brief." in prompt) == (form == "Turns, explicit prompt")
    assert (prompt == QUESTION) == form.startswith("Text")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["plain", "gzip"])
def test_pairs(tmp_path, shard, form, kind):
    (sample,) = fenced(section(PAGE, form), "jsonl")
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(gzip.compress(sample.encode()) if kind == "gzip" else sample.encode())
    (pair,) = shard("pairs", file, "--configuration", "en")
    check_pair(pair, form)


def test_the_page_names_all_forms():
    found = [form for form in FORMS if f"[{form[0].lower() + form[1:]}](#" in section(PAGE, "Pairs")]
    assert found == FORMS and len(fenced(section(PAGE, "Pairs"), "jsonl")) == len(FORMS)


def test_parquet(tmp_path, shard, monkeypatch):
    (sample,) = fenced(section(PAGE, "As Parquet"), "python")
    monkeypatch.chdir(tmp_path)
    exec(sample, {})
    (pair,) = shard("pairs", tmp_path / "pairs.parquet", "--configuration", "en")
    check_pair(pair, FORMS[0])


def test_labels_that_may_be_missing(tmp_path, shard):
    """As the page's table of labels says: with `all` none is needed."""
    (sample,) = fenced(section(PAGE, FORMS[0]), "jsonl")
    row = {key: value for key, value in json.loads(sample).items() if key in ("chosen", "rejected")}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    (pair,) = shard("pairs", tmp_path / "pairs.jsonl", "--configuration", "all")
    assert (pair["row_id"], pair["language"], pair["category"]) == (0, "", "")


def test_prompts(tmp_path, shard):
    (sample,) = fenced(section(PAGE, "Prompts"), "jsonl")
    (tmp_path / "prompts.jsonl").write_text(sample)
    prompts = shard("prompts", tmp_path / "prompts.jsonl")
    assert len(prompts) == len(sample.splitlines()) == 4
    assert [prompt["text"] for prompt in prompts] == [QUESTION] * 4
    assert [prompt["row_id"] for prompt in prompts] == [17, 18, 2, 20]
    assert all(QUESTION in tiny_text(prompt["ids"]) for prompt in prompts[:3]) and prompts[3]["ids"] == [1, 150]
    assert prompts[0]["style"] == "role play"


def test_a_language_set_of_ones_own(tmp_path, shard):
    (sample,) = fenced(section(PAGE, "Language configurations"), "json")
    (tmp_path / "sets.json").write_text(sample)
    (name,) = json.loads(sample)["sets"]
    (pair,) = fenced(section(PAGE, FORMS[0]), "jsonl")
    (tmp_path / "pairs.jsonl").write_text("".join(pair.replace('"en"', f'"{code}"') for code in ("en", "lt", "lv", "lv")))
    pairs = shard("pairs", tmp_path / "pairs.jsonl", "--configuration", name, "--language-sets", tmp_path / "sets.json")
    assert [row["language"] for row in pairs] == ["lt", "lv"]


def test_the_line_that_troubleshooting_takes_apart(tmp_path):
    (line,) = re.findall(r"^    refrain-shard: (.+)$", (DOCS / "troubleshooting.md").read_text(), flags=re.M)
    (sample,) = fenced(section(PAGE, FORMS[0]), "jsonl")
    (tmp_path / "pairs.jsonl").write_text(2 * sample + sample.replace('"lang": "en", ', ""))
    fails("shard", "--pairs", "pairs.jsonl", "--tokenizer", tiny_tokenizer(tmp_path / "model"), "--chat-template", "llama-3",
          "--configuration", "en", "--out", tmp_path / "out.h5", line=line, cwd=tmp_path)
