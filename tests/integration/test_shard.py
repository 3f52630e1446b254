"""refrain-shard: kinds of input, selection, splitting, any number of ranks, what it prints and leaves behind."""

import collections
import gzip
import json
import os
import re
import stat

import h5py
import pytest

from refrain import fails, run
from shard_files import (corpus, datasets, pair_row, provenance, read_pairs, read_prompts, text_column, tiny_text,
                         tiny_tokenizer, write_jsonl)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return tiny_tokenizer(tmp_path_factory.mktemp("tokenizer") / "model")


@pytest.fixture
def shard(tokenizer, tmp_path):
    """Runs refrain-shard on a file of `rows` (or on given files) into tmp_path/NAME.h5."""
    def call(rows, configuration, *options, name="out", ranks=1, kind="--pairs", template="llama-3", **keywords):
        files = [write_jsonl(tmp_path / "in.jsonl", rows)] if isinstance(rows[0], dict) else rows
        done = run("shard", kind, *files, "--tokenizer", tokenizer, "--chat-template", template, "--configuration",
                   configuration, "--out", tmp_path / f"{name}.h5", *options, ranks=ranks, **keywords)
        return tmp_path / f"{name}.h5", done.stdout
    return call


def languages(path):
    return collections.Counter(row["language"] for row in read_pairs(path))


def test_content(shard):
    path, text = shard([pair_row(3, "de", style="slang"), pair_row(1, "lv")], "all")
    first, second = read_pairs(path)
    assert {name: first[name] for name in ("row_id", "id", "language", "category", "style")} == {
        "row_id": 3, "id": "de-3", "language": "de", "category": "S4", "style": "slang"}
    assert second["id"] == "lv-1" and second["style"] == ""
    bos, header, end_header, eot = 256, 257, 258, 259
    assert first["prompt"].count(bos) == 1 and first["prompt"][0] == bos
    assert first["prompt"][-3] == end_header and first["prompt"].count(header) == 2
    assert first["chosen"][-1] == eot and first["rejected"][-1] == eot and first["chosen"] != first["rejected"]
    assert text.splitlines()[:4] == ["language  read  dropped  written", "de           1        0        1",
                                     "lv           1        0        1", "all          2        0        2"]


def test_all_without_labels(shard):
    rows = [{"prompt": f"p{i} ", "chosen": "yes", "rejected": "no"} for i in range(3)]
    path, text = shard(rows, "all")
    assert [(row["row_id"], row["id"], row["language"], row["category"]) for row in read_pairs(path)] == [
        (i, "", "", "") for i in range(3)]
    assert "(none)" in text


@pytest.mark.parametrize("ranks", [2, 4])
def test_any_number_of_ranks(shard, ranks):
    rows = corpus(each=40, more_english=3)
    for options in (("all",), ("balanced", "--total-pairs", 100), ("english-only-long",)):
        one, _ = shard(rows, *options, name=f"one-{options[0]}")
        many, _ = shard(rows, *options, name=f"many-{options[0]}", ranks=ranks)
        assert datasets(one) == datasets(many)
        assert provenance(many)["ranks"] == ranks


@pytest.mark.parametrize("ranks", [1, 3])
def test_marks_that_are_no_tokens(tokenizer, tmp_path, ranks):
    """One line, whichever ranks saw rows; none where the template belongs to the tokenizer."""
    rows = write_jsonl(tmp_path / "in.jsonl", corpus(each=4))
    said = {template: run("shard", "--pairs", rows, "--tokenizer", tokenizer, "--chat-template", template,
                          "--configuration", "all", "--out", tmp_path / f"{template}.h5", ranks=ranks).stderr
            for template in ("qwen2", "llama-3")}
    assert re.sub(r"(?m)^\d\d:\d\d:\d\d ", "", said["qwen2"]) == (
        "warning: chat template qwen2 writes <|im_start|>, <|im_end|> as mere text: the tokenizer has no such tokens "
        f"[{tokenizer}/tokenizer.json] (name a template that belongs to the model: --chat-template)\n")
    assert "warning" not in said["llama-3"]


def test_configurations(shard):
    rows = corpus(each=5, more_english=8)
    assert set(languages(shard(rows, "balanced", name="a")[0]).values()) == {5}
    assert languages(shard(rows, "english-only", name="b")[0]) == {"en": 13}
    assert languages(shard(rows, "cs", name="c")[0]) == {"cs": 5}
    assert sum(languages(shard(rows, "balanced-matched", name="d")[0]).values()) == 13
    long, _ = shard(rows, "english-only-long", name="e")
    assert languages(long) == {"en": 60}
    tokens = len(datasets(long)["tokens"])
    assert tokens == len(datasets(shard(rows, "english-only", name="f")[0])["tokens"])  # repeats keep one copy
    ids = [row["id"] for row in read_pairs(long)]
    assert ids[:13] == ids[13:26] == [f"en-{i}" for i in range(13)]


def test_balanced_is_equal_after_dropping(shard):
    rows = corpus(each=6)
    for row in rows:
        if row["lang"] == "pl" and row["row_id"] == 2:
            for side in ("chosen", "rejected"):
                row[side][0]["content"] = "long " * 100
    path, text = shard(rows, "balanced", "--max-length", 200)
    assert set(languages(path).values()) == {5}
    assert "dropped 1: the prompt alone fills --max-length 200" in text
    pl = next(line for line in text.splitlines() if line.startswith("pl "))
    assert pl.split() == ["pl", "6", "1", "5"]


@pytest.fixture
def none_left(tokenizer, tmp_path):
    """Runs refrain-shard on `rows`, which must end with `line` and write nothing."""
    def call(rows, line, *options):
        fails("shard", "--pairs", write_jsonl(tmp_path / "in.jsonl", rows), "--tokenizer", tokenizer, "--chat-template",
              "llama-3", "--out", tmp_path / "out.h5", *options, line=line)
        assert not list(tmp_path.glob("*.h5"))
    return call


@pytest.mark.parametrize("configuration, count, where", [("all", 24, ""), ("english-only", 2, " in language en"), (
    "balanced", 24, " in language cs, de, en, es, fr, it, lt, lv, pl, pt, sk, sl")])
def test_all_pairs_are_dropped(none_left, configuration, count, where):
    none_left(corpus(2), f"no pair is left of {count}{where}: the prompt alone fills --max-length 4 ({count}) (raise "
              "--max-length)", "--configuration", configuration, "--max-length", 4)


def test_all_pairs_of_a_language_or_a_side_are_dropped(none_left, tmp_path):
    ids = {"row_id": 1, "lang": "de", "category": "S1", "prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4]}
    (tmp_path / "sets.json").write_text(json.dumps({"sets": {"two": {"languages": ["en", "de"]}}}))
    none_left([{**ids, "lang": "en"}, {**ids, "chosen_ids": []}, {**ids, "prompt_ids": []}],
              "no pair is left of 2 in language de: the prompt has no token (1), an answer has no token (1) (give prompts "
              "and answers that have text)", "--configuration", "two", "--language-sets", tmp_path / "sets.json")
    none_left([ids, {**ids, "row_id": 2, "prompt_ids": [1] * 2000}], "no pair is left for this side of the split "
              f"[{tmp_path}/dev.h5] (raise --max-length, or give another --dev-fraction)", "--configuration", "all",
              "--dev-fraction", 0.5, "--dev-out", tmp_path / "dev.h5")


def test_own_language_sets(shard, tmp_path):
    own = tmp_path / "sets.json"
    own.write_text(json.dumps({"sets": {"baltic": {"languages": ["lt", "lv"]}}}))
    assert languages(shard(corpus(3), "baltic", "--language-sets", own)[0]) == {"lt": 3, "lv": 3}


def test_several_files_and_gzip(shard, tmp_path):
    rows = corpus(each=4)
    first = write_jsonl(tmp_path / "first.jsonl", rows[:20])
    second = tmp_path / "second.jsonl.gz"
    with gzip.open(second, "wt", encoding="utf-8") as file:
        file.write("\r\n\n".join(json.dumps(row) for row in rows[20:]))  # blank lines, CRLF, no end of the last line
    together, _ = shard(rows, "all", name="together")
    parted, _ = shard([first, second], "all", name="parted")
    assert datasets(together) == datasets(parted)


def test_parquet(shard, tmp_path):
    pq, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    rows = corpus(each=4)
    for i, row in enumerate(rows):
        row["style"] = None if i % 3 else "slang"
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet", row_group_size=7)
    lines, _ = shard(rows, "balanced", name="lines")
    try:
        columns, _ = shard([tmp_path / "in.parquet"], "balanced", name="columns", ranks=2)
    except AssertionError as error:
        if "which this build cannot read" in str(error):
            pytest.skip("built without Parquet")
        raise
    assert datasets(lines) == datasets(columns)


def test_ready_ids(shard):
    rows = [{"prompt_ids": [256, 7], "chosen_ids": [1, 2, 259], "rejected_ids": list(range(200))}]
    path, text = shard(rows, "all", "--max-length", 50)
    assert read_pairs(path)[0]["chosen"] == [1, 2, 259]
    assert read_pairs(path)[0]["rejected"] == list(range(48))
    assert "cut at --max-length 50: 0 chosen and 1 rejected answers" in text


def test_dev_split(shard, tmp_path):
    rows = corpus(each=20)
    train, text = shard(rows, "balanced", "--dev-fraction", 0.2, "--dev-out", tmp_path / "dev.h5")
    dev = tmp_path / "dev.h5"
    groups = [{row["row_id"] for row in read_pairs(path)} for path in (train, dev)]
    assert not groups[0] & groups[1] and len(groups[1]) == 4 and len(groups[0]) == 16
    assert set(languages(train).values()) == {16} and set(languages(dev).values()) == {4}
    assert f"{dev}: 48 pairs" in text
    # Every configuration of the same files is split alike.
    english, _ = shard(rows, "english-only", "--dev-fraction", 0.2, "--dev-out", tmp_path / "dev-en.h5", name="en")
    assert {row["row_id"] for row in read_pairs(tmp_path / "dev-en.h5")} == groups[1]


def test_prompts(shard):
    rows = [{"prompt": "restricted activity 17", "lang": "en", "row_id": 9}, {"prompt": "", "lang": "lt", "row_id": 9},
            {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": " u "}], "lang": "en",
             "row_id": 10}]
    path, text = shard(rows, "all", kind="--prompts")
    ours = read_prompts(path)
    assert [row["text"] for row in ours] == ["restricted activity 17", "", " u "]
    assert [row["row_id"] for row in ours] == [9, 9, 10] and ours[1]["language"] == "lt"
    assert all(row["ids"][-3] == 258 for row in ours)  # the generation prompt's end of header, then two line breaks
    assert f"{path}: 3 prompts" in text


def prompt_rows():
    """Every form that a prompt may have, in one file."""
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "first"},
             {"role": "assistant", "content": "answer"}, {"role": "user", "content": " last "}]
    labels = {"category": "S2", "style": "slang", "id": "a"}
    return [{"prompt": "restricted activity 17", "lang": "en", "row_id": 1, **labels},
            {"messages": turns, "lang": "de", "row_id": 2}, {"prompt_ids": [256, 7, 8], "lang": "lv", "row_id": 3},
            {"prompt_ids": [9], "prompt": "shown beside its ids", "lang": "lt", "row_id": 4},
            {"prompt_ids": [10], "messages": turns, "lang": "lt", "row_id": 5}]


def test_forms_of_prompts(shard, tmp_path):
    path, _ = shard(prompt_rows(), "all", kind="--prompts")
    rows = read_prompts(path)
    assert [row["text"] for row in rows] == ["restricted activity 17", " last ", "", "shown beside its ids", " last "]
    assert [row["ids"] for row in rows[2:]] == [[256, 7, 8], [9], [10]]
    assert rows[1]["ids"].count(257) == 5  # a header for each turn and for the answer
    assert {name: rows[0][name] for name in ("id", "language", "category", "style", "row_id")} == {
        "id": "a", "language": "en", "category": "S2", "style": "slang", "row_id": 1}
    turns = json.dumps(prompt_rows()[1]["messages"], separators=(",", ":"))
    with h5py.File(path) as file:
        assert text_column(file, "prompt/turns") == ["", turns, "", "", turns]
    run("convert", "verify", path)
    plain, _ = shard([{"prompt": "restricted activity 17"}], "all", kind="--prompts", name="plain")
    assert "prompt/turns/bytes" not in datasets(plain)


def test_prompts_from_parquet_gzip_and_many_ranks(shard, tmp_path):
    pq, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    rows = [{**row, "row_id": 5 * i + row["row_id"]} for i in range(20) for row in prompt_rows()]
    lines, _ = shard(rows, "all", name="lines", kind="--prompts")
    with gzip.open(tmp_path / "in.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(json.dumps(row) for row in rows))
    packed, _ = shard([tmp_path / "in.jsonl.gz"], "all", name="packed", kind="--prompts", ranks=4)
    assert datasets(packed) == datasets(lines)
    columns = {name: [row.get(name) for row in rows] for row in rows for name in row}
    pq.write_table(pa.table(columns), tmp_path / "in.parquet", row_group_size=7)
    try:
        parquet, _ = shard([tmp_path / "in.parquet"], "all", name="parquet", kind="--prompts", ranks=2)
    except AssertionError as error:
        if "which this build cannot read" in str(error):
            pytest.skip("built without Parquet")
        raise
    assert datasets(parquet) == datasets(lines)


@pytest.mark.parametrize("day", ["26 Jul 2024", "05 Jan 2025"])
def test_the_day_that_a_template_writes(shard, day):
    given = [] if day == "26 Jul 2024" else ["--template-date", day]
    path, _ = shard([{"prompt": "x"}], "all", *given, kind="--prompts", template="llama-3.2")
    record = provenance(path)
    assert record["chat_template"] == "llama-3.2" and record["template_date"] == day
    assert f"Today Date: {day}" in tiny_text(read_prompts(path)[0]["ids"])
    assert "template_date" not in provenance(shard([{"prompt": "x"}], "all", kind="--prompts", name="other")[0])


def test_modes_and_second_runs(shard, tokenizer, tmp_path):
    rows = corpus(each=2)
    path, _ = shard(rows, "balanced")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    before = path.read_bytes()
    arguments = ["--pairs", tmp_path / "in.jsonl", "--tokenizer", tokenizer, "--chat-template", "llama-3",
                 "--out", path]
    again = run("shard", *arguments, "--configuration", "balanced")
    assert again.stdout == "" and again.stderr.split(" ", 1)[1] == (
        f"{path} is there already, made from the same input with the same options\n")
    assert path.read_bytes() == before
    both = ["--configuration", "all", "--dev-fraction", 0.5, "--dev-out", tmp_path / "dev.h5"]
    run("shard", *arguments[:-1], tmp_path / "rest.h5", *both)
    assert run("shard", *arguments[:-1], tmp_path / "rest.h5", *both).stderr.split(" ", 1)[1] == (
        f"{tmp_path}/rest.h5 and {tmp_path}/dev.h5 are there already, made from the same input with the same options\n")
    fails("shard", *arguments, "--configuration", "all",
          line=f"the output exists and was made from other input or with other options [{path}] (give another name, or "
               "--overwrite to replace it)")
    assert path.read_bytes() == before
    run("shard", *arguments, "--configuration", "en", "--overwrite")
    assert languages(path) == {"en": 2}
    assert [name.name for name in tmp_path.iterdir() if "tmp" in name.name] == []


def test_provenance(shard, tmp_path):
    path, _ = shard(corpus(2), "balanced")
    record = provenance(path)
    assert record["options"]["configuration"] == "balanced" and record["chat_template"] == "llama-3"
    assert str(tmp_path / "in.jsonl") in record["inputs"]
    assert any(name.endswith("tokenizer.json") for name in record["inputs"])
    run("convert", "verify", path)
