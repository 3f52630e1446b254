"""What refrain-archive leaves out: text of flagged answers and of category S4, and whatever names people and places."""

import io
import json
import re
import subprocess

import h5py
import numpy
import pytest
from archive_study import (CATEGORIES, MEMBERS, SECRETS, STUDY, answer_rows, datasets, judged, sha256, write_answers,
                           write_member, write_report, write_study)
from refrain import run
from shard_files import text_column
from verdict_files import write_responses

ANSWERS = f"{STUDY}/{MEMBERS[0]}/responses.h5"


def expected(rows, judges, text=False, guarded=False):
    """Rows whose prompt stays out, and rows whose answer does: by the labels of both guards and the final one."""
    labels = numpy.array([judge[1]["label"] for judge in judges.values()])
    safe = [row["final"] == 0 and not (labels[:, i] == 1).any() for i, row in enumerate(rows)]
    held = set() if guarded else {i for i, row in enumerate(rows) if row["category"] in ("", "S4") or i == 8}
    return held, held | (set() if text else {i for i in range(len(rows)) if not safe[i]})


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("text") / "runs")


@pytest.mark.parametrize("words,kept,counts", [
    ((), {}, (9, 15)), (("--include-text",), {"text": True}, (9, 9)),
    (("--include-text", "--include-category", "S4"), {"text": True, "guarded": True}, (0, 0))])
def test_flagged_text(study, tmp_path, words, kept, counts):
    out = tmp_path / "text.h5"
    run("archive", "create", "--out", out, study / STUDY, *words)
    manifest, files = datasets(out)
    rows = answer_rows()
    prompts, answers = expected(rows, judged(rows, 6), **kept)
    assert (len(prompts), len(answers)) == counts
    original = study / ANSWERS
    entry = next(file for file in manifest["files"] if file["path"] == ANSWERS)
    with h5py.File(io.BytesIO(files[ANSWERS])) as file, h5py.File(original) as before:
        shown, prompted = text_column(file, "response/text"), text_column(file, "response/prompt")
        tokens, begin, length = (file[name][:] for name in ("tokens", "response/begin", "response/length"))
        ids = [before["tokens"][b:b + n].tolist() for b, n in zip(before["response/begin"], before["response/length"])]
        for name in ("row_id", "sample", "finish"):
            assert (file[f"response/{name}"][:] == before[f"response/{name}"][:]).all()
        record = json.loads(file.attrs["provenance"])
    assert shown == ["" if i in answers else row["text"] for i, row in enumerate(rows)]
    assert prompted == ["" if i in prompts else row["prompt"] for i, row in enumerate(rows)]
    assert [tokens[b:b + n].tolist() for b, n in zip(begin, length)] == [[] if i in answers else ids[i]
                                                                         for i in range(len(rows))]
    assert len(tokens) == sum(length)
    if not answers:
        assert files[ANSWERS] == original.read_bytes() and "without" not in entry
        return
    said = f"the text of {len(answers)} answers and {len(prompts)} prompts"
    assert entry["without"] == record["archive"]["without"] == said
    assert entry["original"] == {"bytes": original.stat().st_size, "sha256": sha256(original)}
    assert record["archive"]["original_sha256"] == sha256(original)
    done = run("archive", "restore", "--archive", out, "--out", tmp_path / "back")
    assert f"warning: restored without {said} [{ANSWERS}]" in done.stderr
    assert run("convert", "verify", tmp_path / "back" / ANSWERS).stdout.endswith(": sound\n")
    # Verdicts are whole, and the archive has none of what it left out of this member: another one's answers are its own.
    verdicts = f"{STUDY}/{MEMBERS[0]}/verdicts.h5"
    assert sha256(tmp_path / "back" / verdicts) == sha256(study / verdicts)
    of_member = [content for name, content in files.items() if name.startswith(f"{STUDY}/{MEMBERS[0]}/")]
    for i in answers:
        assert not any(rows[i]["text"].encode() in content for content in of_member)


def test_answers_without_verdicts(tmp_path):
    """Not known to be safe: their text stays out, and that of verdicts on other answers does not count."""
    folder = tmp_path / "one"
    write_member(folder)
    write_answers(folder, 6)
    rows = answer_rows()
    for row in rows:
        row["text"] += " Again."
    write_responses(folder / "responses.h5", rows)
    run("archive", "create", "--out", tmp_path / "one.h5", folder)
    with h5py.File(io.BytesIO(datasets(tmp_path / "one.h5")[1]["one/responses.h5"])) as file:
        assert set(text_column(file, "response/text")) == {""}


def test_prompts_and_pairs(tmp_path):
    """As refrain-shard makes them: prompts lose texts of S4 and of no category, pairs stay out whole."""
    (tmp_path / "one").mkdir()
    write_member(tmp_path / "runs/one")
    known = tmp_path / "known"
    known.mkdir()
    (known / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 300}))
    ids = lambda i: list(range(i, i + 5))
    prompts = [{"prompt_ids": ids(i), "lang": "en", "row_id": i, "category": CATEGORIES[i % 6]} for i in range(12)]
    pairs = [{"prompt_ids": ids(i), "chosen_ids": ids(9), "rejected_ids": ids(40), "lang": "en", "row_id": i,
              "category": "S1"} for i in range(4)]
    for kind, rows in (("prompts", prompts), ("pairs", pairs)):
        (tmp_path / f"{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        run("shard", f"--{kind}", tmp_path / f"{kind}.jsonl", "--tokenizer", known, "--configuration", "all",
            "--out", tmp_path / f"runs/{kind}.h5")
    run("archive", "create", "--out", tmp_path / "plain.h5", tmp_path / "runs")
    run("archive", "create", "--out", tmp_path / "text.h5", tmp_path / "runs", "--include-text")
    manifest, plain = datasets(tmp_path / "plain.h5")
    assert {"path": "runs/pairs.h5", "why": "pairs, whose rejected answers --include-text takes"} in manifest["left_out"]
    assert datasets(tmp_path / "text.h5")[1]["runs/pairs.h5"] == (tmp_path / "runs/pairs.h5").read_bytes()
    with h5py.File(io.BytesIO(plain["runs/prompts.h5"])) as file:
        lengths, tokens = file["prompt/length"][:].tolist(), file["tokens"][:].tolist()
    kept = [i for i in range(12) if CATEGORIES[i % 6] not in ("", "S4")]
    assert lengths == [5 if i in kept else 0 for i in range(12)]
    assert tokens == [token for i in kept for token in ids(i)]


def strings_of(content):
    """All that could be read of a file's bytes: the bytes themselves, and of HDF5 every attribute and value."""
    found = [content]
    if content.startswith(b"\x89HDF"):
        with h5py.File(io.BytesIO(content)) as file:
            found += [bytes(value) for value in file.attrs.values()]
            file.visititems(lambda name, item: found.extend(
                [name.encode(), *[str(value).encode() for value in item.attrs.values()],
                 *([item[()].tobytes()] if isinstance(item, h5py.Dataset) else [])]))
    return b"\n".join(found)


def test_anonymous(study, tmp_path):
    blind, known = tmp_path / "blind.h5", tmp_path / "known.h5"
    write_report(study / "open-report", anonymous=True)
    record = json.loads((study / "open-report/report.json").read_text())
    for key in ("host", "slurm", "user", "account", "started", "inputs"):
        record.pop(key)
    record["options"] = {"anonymous": True}
    (study / "open-report/report.json").write_text(json.dumps(record))
    with open(study / STUDY / f"{MEMBERS[0]}.starts.jsonl", "a") as file:
        file.write('{"host": "cut-off')  # nobody can tell what it names
    words = ("--include-text", "--include-category", "S4")
    run("archive", "create", "--out", known, study, *words)
    run("archive", "create", "--out", blind, study, *words, "--anonymous")
    hostname = subprocess.run(["hostname", "-s"], capture_output=True, text=True).stdout.strip()
    everything = {}
    for path in (known, blind):
        manifest, files = datasets(path)
        with h5py.File(path) as archive:
            text = bytes(archive.attrs["provenance"]) + archive["manifest"][:].tobytes() + " ".join(files).encode()
        everything[path] = text + b"\n".join(map(strings_of, files.values()))
    for secret in (*SECRETS, "cut-off", str(tmp_path), f'"{hostname}"'):
        assert secret.encode() in everything[known] and secret.encode() not in everything[blind], secret
    assert b"ab" * 32 in everything[blind]  # digests stay
    manifest, files = datasets(blind)
    assert manifest["anonymous"]
    assert f"runs/{STUDY}/report/report.html" not in files and "runs/open-report/report.html" in files
    assert files[f"runs/{STUDY}/{MEMBERS[0]}/metrics.jsonl"] == (study / STUDY / MEMBERS[0] / "metrics.jsonl").read_bytes()
    assert "anonymous" in run("archive", "list", blind).stdout.splitlines()[0]
    # It is restored sound, if changed, and says the same of the runs.
    done = run("archive", "restore", "--archive", blind, "--out", tmp_path / "back")
    assert f"without hosts, paths and ids [runs/{STUDY}/{MEMBERS[0]}/run.json]" in done.stderr
    for path in (tmp_path / "back").rglob("*"):
        if path.name in ("run.json", "status.json", "verdicts.h5", "responses.h5", "metrics.h5"):
            run("convert", "verify", path)
    said = run("archive", "diff", f"{known}:runs/{STUDY}/{MEMBERS[0]}", tmp_path / "back/runs" / STUDY / MEMBERS[0],
               exit_code=1).stdout
    assert {re.split(r"  +", line)[1] for line in said.splitlines()[1:]} == {"inputs"}  # whose names are left out
