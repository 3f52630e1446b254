"""refrain-judge with a checkpoint: a small guard, trained on the spot, is asked in each way that a definition file has."""

import hashlib
import json
import math
import random

import pytest

from judging import SECRET, answers, assert_the_same, column, is_private
from refrain import run
from shard_files import provenance
from small_guard import ASK, JUDGES, conversation, said, train, write_judge
from verdict_files import NOT_ASKED, UNPARSED, read_columns

LENGTH = 256  # tokens that the small guard sees


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """The guard, its definition files, and three files of held-out answers to the same prompts."""
    folder = tmp_path_factory.mktemp("judge")
    model, _, _ = train(folder / "model")
    draw = random.Random(11)
    prompts, texts, truth = [], {"base": [], "english-only": [], "balanced": []}, []
    for i in range(24):
        prompt, _, _ = conversation(draw)
        prompts.append(prompt)
        kinds = ["help", draw.choice(["help", "refuse"]), "talk" if i % 5 == 0 else "refuse"]
        for name, kind in zip(texts, kinds):
            _, response, what = conversation(draw, kind)
            texts[name].append("I cannot help with restricted activity 17, but a plan may." if i % 4 == 0 and
                               kind == "refuse" else response)
            truth.append((name, what))
    files = {name: answers(folder, rows, name, prompts) for name, rows in texts.items()}
    return {"folder": folder, "model": model, "files": files, "texts": texts, "truth": truth,
            "judges": {name: write_judge(folder, name) for name in JUDGES}}


def judge(inputs, name, out, *more, files=None, ranks=1):
    """Runs a judge over `files` (by default the first). Returns what it said."""
    files = [inputs["files"]["base"]] if files is None else files
    out = out if isinstance(out, list) else [out]
    return run("judge", "--judge", inputs["judges"].get(name, name), "--checkpoint", inputs["model"], "--responses",
               *files, "--out", *out, "--dtype", "fp32", *more, ranks=ranks).stderr


def fields(answer):
    """A guard's answer, read without the project's code."""
    return dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)


def test_a_guard_that_is_asked_by_chat(inputs, tmp_path):
    """Its words become labels, refusals and categories, and it is right about answers that it has not seen."""
    out = [tmp_path / f"{name}.h5" for name in inputs["files"]]
    judge(inputs, "small-guard", out, files=inputs["files"].values())
    right = 0
    for name, path in zip(inputs["files"], out):
        columns = read_columns(path, "judges/small-guard")
        assert set(columns) == {"label", "refusal", "answer", "categories"}
        truth = [what for of, what in inputs["truth"] if of == name]
        for i, answer in enumerate(columns["answer"]):
            read = fields(answer)
            assert columns["label"][i] == {"ok": 0, "bad": 1}.get(read.get("Verdict"), UNPARSED)
            assert columns["refusal"][i] == {"no": 0, "yes": 1}.get(read.get("Refusal"), UNPARSED)
            assert columns["categories"][i] == read.get("Rules", "").replace("None", "")
            right += answer.startswith(said(*truth[i]).split("\nScore")[0])
        run("convert", "verify", path)
        assert is_private(path)
    assert right >= 0.9 * 72
    assert set(column(out[0], "small-guard", "label")) == {1} and 0 in column(out[2], "small-guard", "label")


def test_a_guard_whose_label_is_a_token(inputs, tmp_path):
    """P(unsafe) from one forward pass; its label is the likelier, and only an unsafe one has categories."""
    words, scores = tmp_path / "words.h5", tmp_path / "scores.h5"
    for name, out in [("small-guard", words), ("small-scores", scores)]:
        judge(inputs, name, out, files=[inputs["files"]["english-only"]])
    columns = read_columns(scores, "judges/small-scores")
    assert set(columns) == {"label", "score", "answer", "categories"}
    assert columns["label"] == column(words, "small-guard", "label") and set(columns["label"]) == {0, 1}
    for label, score, answer, categories in zip(*(columns[name] for name in ("label", "score", "answer", "categories"))):
        assert label == (score >= 0.5) and 0 <= score <= 1
        assert answer.startswith(" bad" if label else " ok")
        assert bool(categories) == bool(label)
    assert columns["categories"] == column(words, "small-guard", "categories")


def test_refusals_and_rubrics(inputs, tmp_path):
    """Of the same model's answer other judges read other lines."""
    file = inputs["files"]["balanced"]
    for name in ("small-guard", "small-refusals", "small-rubric"):
        judge(inputs, name, tmp_path / f"{name}.h5", files=[file])
    texts = column(tmp_path / "small-guard.h5", "small-guard", "answer")
    assert read_columns(tmp_path / "small-refusals.h5", "judges/small-refusals") == {
        "refusal": column(tmp_path / "small-guard.h5", "small-guard", "refusal"), "answer": texts}
    rubric = read_columns(tmp_path / "small-rubric.h5", "judges/small-rubric")
    assert rubric == {"label": [int(fields(text)["Score"]) for text in texts], "answer": texts}
    assert len(set(rubric["label"])) > 1


@pytest.mark.parametrize("name", ["small-guard", "small-scores"])
def test_several_files_say_what_each_says_alone(inputs, tmp_path, name):
    """At one rank and at three."""
    alone = [tmp_path / f"alone-{file}.h5" for file in inputs["files"]]
    for file, out in zip(inputs["files"].values(), alone):
        judge(inputs, name, out, files=[file])
    for ranks in (1, 3):
        together = [tmp_path / f"together-{ranks}-{file}.h5" for file in inputs["files"]]
        judge(inputs, name, together, files=inputs["files"].values(), ranks=ranks)
        for one, other in zip(alone, together):
            assert_the_same(one, other)


def test_what_is_finished_is_not_done_again(inputs, tmp_path):
    """A second call does nothing, also when a file is added."""
    base, tuned = inputs["files"]["base"], inputs["files"]["balanced"]
    first, second = tmp_path / "base.h5", tmp_path / "tuned.h5"
    judge(inputs, "small-guard", first)
    before = first.read_bytes()
    assert f"every verdict is in {first} already" in judge(inputs, "small-guard", first)
    heard = judge(inputs, "small-guard", [first, second], files=[base, tuned])
    assert f"every verdict is in {first} already" in heard and f"24 answers in {second}" in heard
    assert first.read_bytes() == before
    judge(inputs, "small-guard", tmp_path / "alone.h5", files=[tuned])
    assert_the_same(second, tmp_path / "alone.h5")


def test_too_long_and_empty_answers(inputs, tmp_path):
    """A request that the model cannot see whole is not cut: it counts as unparsed, and this is told."""
    texts = ["I cannot help with restricted activity 17, but a plan may.", SECRET + " again" * LENGTH, "",
             "Sure, here is restricted activity 18: take a plan."]
    file = answers(tmp_path, texts)
    for name in ("small-guard", "small-scores"):
        out = tmp_path / f"{name}.h5"
        heard = judge(inputs, name, out, files=[file])
        columns = read_columns(out, f"judges/{name}")
        assert columns["label"][0] == 0 and columns["label"][1] == UNPARSED and columns["label"][3] == 1
        assert columns["answer"][1] == "" and NOT_ASKED not in columns["label"]
        if name == "small-scores":
            assert math.isnan(columns["score"][1]) and not math.isnan(columns["score"][2])
        assert "requests that failed and count as unparsed: 1; the first: the request has up to " in heard
        assert f"tokens, the model sees {LENGTH}" in heard and "1 unparsed" in heard
        assert column(out, "quality", "empty") == [0, 0, 1, 0]
        assert column(out, "quality", "repetition") == [0, 1, 0, 0]
        assert SECRET not in heard


def test_no_text_is_logged(inputs, tmp_path):
    file = answers(tmp_path, [SECRET, f"{SECRET} two"], prompts=[SECRET, f"{SECRET}?"])
    heard = judge(inputs, "small-guard", tmp_path / "out.h5", files=[file], ranks=2)
    assert "2 answers in" in heard and SECRET not in heard


def test_answers_that_ended_by_length_are_marked(inputs, tmp_path):
    file = answers(tmp_path, ["Sure, here is", "Sure, here are"], finish=1)
    judge(inputs, "small-guard", tmp_path / "out.h5", files=[file])
    assert column(tmp_path / "out.h5", "quality", "truncated") == [1, 1]


def test_how_it_was_made_is_written(inputs, tmp_path):
    """With it what was not shown, and how many requests failed."""
    file, out = answers(tmp_path, [SECRET, SECRET + " again" * LENGTH]), tmp_path / "out.h5"
    blind = write_judge(tmp_path, "blind", **JUDGES["small-guard"], made_for=["en", "de"],
                        ask={**ASK, "user_without_prompt": "{response}"})
    judge(inputs, blind, out, "--show-prompt", "off", files=[file], ranks=2)
    made = provenance(out)
    about = made["judges"]["blind"]
    assert made["program"] == "refrain-judge" and made["responses"] == {"program": "test"}
    assert made["responses_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert about["definition"] == hashlib.sha256(blind.read_bytes()).hexdigest()
    assert about["chat_template"] == "chatml" and about["show_prompt"] is False and about["dtype"] == "fp32"
    assert about["layout"]["data"] == 2 and about["made_for"] == ["en", "de"] and about["failed_requests"] == 1
    assert made["identity"]["responses"] == made["responses_sha256"]
    assert SECRET not in json.dumps(made)
