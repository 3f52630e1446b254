"""refrain-archive: a study goes into one file and comes back bit for bit; what differs between runs; h5py reads it."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from archive_study import (MEMBERS, RUNS, STUDY, datasets, files_below, sha256, write_answers, write_member,
                           write_report, write_study)
from refrain import BIN, SOURCE, run
from run_folders import seal
from small_runs import options, write_model, write_pairs

EVERYTHING = ("--include-text", "--include-category", "S4", "--weights", "final")
MEMBER = f"{STUDY}/{MEMBERS[0]}"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("archive") / "runs")


@pytest.fixture(scope="module")
def whole(study):
    """An archive of everything in it."""
    out = study.parent / "whole.h5"
    run("archive", "create", "--out", out, study / STUDY, study / "base", *EVERYTHING)
    return out


def kept(study):
    """The study's own files: no links, logs and notes."""
    return {name: path for name, path in files_below(study).items() if path.suffix not in (".log", ".txt")}


def test_restore_gives_the_same_bytes(study, whole, tmp_path):
    assert run("archive", "verify", whole).stdout == f"{whole}: sound, 3 runs, {len(kept(study))} files\n"
    done = run("archive", "restore", "--archive", whole, "--out", tmp_path / "back")
    assert done.stdout == f"{tmp_path}/back: {len(kept(study))} files restored\n"
    back = files_below(tmp_path / "back")
    assert {name: sha256(path) for name, path in back.items()} == {name: sha256(path) for name, path in
                                                                   kept(study).items()}
    assert {path.stat().st_mode & 0o777 for path in back.values()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("back/**/")} == {0o700}
    assert not list(tmp_path.glob("*.tmp")) and not list(tmp_path.glob("*.lock"))
    assert whole.stat().st_mode & 0o777 == 0o600


def test_a_bare_name_and_other_names_of_runs(study, whole, tmp_path):
    """Restored into a folder that is named without a path; then runs stand one level deeper than in the archive."""
    done = run("archive", "restore", "--archive", whole, "--out", "back", cwd=tmp_path)
    assert done.stdout == f"back: {len(kept(study))} files restored\n"
    run("archive", "diff", whole, "back", cwd=tmp_path)
    done = run("archive", "verify", "back", "none.h5", cwd=tmp_path, exit_code=1)
    assert done.stdout.splitlines()[-1] == "none.h5: missing"


def test_the_same_input_is_the_same_file(study, whole, tmp_path):
    """But for the provenance, which says when and where."""
    run("archive", "create", "--out", tmp_path / "again.h5", study / "base", study / STUDY, *EVERYTHING)
    assert datasets(tmp_path / "again.h5") == datasets(whole)


def test_one_run(study, whole, tmp_path):
    """Restored alone, and archived alone under the same name, with the record of its starts beside it."""
    run("archive", "restore", "--archive", whole, "--out", tmp_path, "--run", MEMBER)
    names = {name for name in kept(study) if name.startswith(MEMBER)}
    assert f"{MEMBER}.starts.jsonl" in names and set(files_below(tmp_path)) == names
    run("archive", "create", "--out", tmp_path / "one.h5", study / MEMBER, *EVERYTHING)
    assert set(datasets(tmp_path / "one.h5")[1]) == names


def test_restore_beside_and_over(study, whole, tmp_path):
    """Other files of the folder stay; with --overwrite those of the archive come again."""
    out = tmp_path / "runs"
    (out / STUDY).mkdir(parents=True)
    (out / STUDY / "mine.txt").write_text("mine")
    run("archive", "restore", "--archive", whole, "--out", out, "--run", MEMBER)
    run("archive", "restore", "--archive", whole, "--out", out, "--run", "base/model")
    (out / MEMBER / "run.json").write_text("changed")
    run("archive", "restore", "--archive", whole, "--out", f"{out}/", "--overwrite")
    back = files_below(out)
    assert back.pop(f"{STUDY}/mine.txt").read_text() == "mine"
    assert {name: sha256(path) for name, path in back.items()} == {name: sha256(path) for name, path in
                                                                   kept(study).items()}


def test_list(study, tmp_path):
    out = tmp_path / "runs.h5"
    said = run("archive", "create", "--out", out, study / STUDY, study / "base").stdout
    assert re.fullmatch(re.escape(f"{out}: 3 runs, ") + r"\d+ files, [\d.]+ KiB\n", said)
    text = run("archive", "list", out).stdout
    row = next(line.split() for line in text.splitlines() if line.startswith(MEMBER + " "))
    assert row[1:4] == ["finished", "39", f"{0.7 / 39:.4g}"] and row[5] == "%"
    for name, why in ((f"{MEMBER}/final", "weights, which --weights final takes"),
                      (f"{MEMBER}/checkpoints", "checkpoints to resume from"),
                      (f"{MEMBER}/.heartbeat", "not a folder of ours"),
                      (f"{STUDY}/report/notes.txt", "not a file of a report"),
                      (f"{STUDY}/dpo_8b_balanced-987654_0.log", "not a file that runs and studies consist of")):
        assert re.search(rf"^{re.escape(name)} +{re.escape(why)}$", text, re.M), (name, text)
    assert re.search(rf"^{re.escape(MEMBER)}/responses.h5 +[\d,]+ +the text of \d+ answers and \d+ prompts$", text, re.M)


def test_add(study, whole, tmp_path):
    out = tmp_path / "grown.h5"
    run("archive", "create", "--add", "--out", out, study / STUDY, *EVERYTHING)
    run("archive", "create", "--add", "--out", out, study / "base", *EVERYTHING)
    assert datasets(out) == datasets(whole)
    before = out.read_bytes()
    done = run("archive", "create", "--add", "--out", out, study / "base", study / STUDY, *EVERYTHING)
    assert done.stdout == f"{out}: has all of it already\n" and out.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"grown.h5"}


def test_replace(tmp_path):
    """The old archive goes once the new one is whole, with what the new one lacks."""
    for name in ("one", "two"):
        write_member(tmp_path / name)
    out, lone = tmp_path / "runs.h5", tmp_path / "lone.h5"
    run("archive", "create", "--out", out, tmp_path / "one", tmp_path / "two")
    before = out.read_bytes()
    (tmp_path / "empty").mkdir()
    run("archive", "create", "--replace", "--out", out, tmp_path / "empty", exit_code=1)
    assert out.read_bytes() == before
    done = run("archive", "create", "--replace", "--out", out, tmp_path / "two")
    assert done.stdout.startswith(f"{out}: 1 run, ")
    run("archive", "create", "--replace", "--out", lone, tmp_path / "two")
    assert datasets(out) == datasets(lone)
    assert {path.name for path in tmp_path.glob("*.h5*")} == {"runs.h5", "lone.h5"}


def test_what_is_added_later_was_not_left_out(tmp_path):
    """Neither weights that come by a second call, nor those that a third one does without."""
    write_member(tmp_path / "one")
    out = tmp_path / "one.h5"
    left_out = lambda: {item["path"] for item in datasets(out)[0]["left_out"]}
    run("archive", "create", "--out", out, tmp_path / "one")
    assert left_out() == {"one/final", "one/checkpoints", "one/.heartbeat"}
    run("archive", "create", "--add", "--out", out, tmp_path / "one", "--weights", "final")
    assert left_out() == {"one/checkpoints", "one/.heartbeat"} and "one/final/config.json" in datasets(out)[1]
    write_answers(tmp_path / "one", 6)
    run("archive", "create", "--add", "--out", out, tmp_path / "one")
    assert left_out() == {"one/checkpoints", "one/.heartbeat"} and "one/responses.h5" in datasets(out)[1]


def test_verdicts_that_the_archive_has_hold_answers_back(tmp_path):
    """Answers that come after the verdicts on them lose the same texts."""
    write_member(tmp_path / "one")
    write_answers(tmp_path / "one", 6)
    run("archive", "create", "--out", tmp_path / "whole.h5", tmp_path / "one")
    answers = (tmp_path / "one/responses.h5").rename(tmp_path / "responses.h5")
    run("archive", "create", "--out", tmp_path / "late.h5", tmp_path / "one")
    answers.rename(tmp_path / "one/responses.h5")
    run("archive", "create", "--add", "--out", tmp_path / "late.h5", tmp_path / "one")
    assert datasets(tmp_path / "late.h5") == datasets(tmp_path / "whole.h5")


def test_an_archive_inside_the_study(tmp_path):
    runs = write_study(tmp_path / "runs")
    out = runs / "archive.h5"
    for _ in range(2):
        run("archive", "create", "--add", "--out", out, runs)
    assert not [name for name in datasets(out)[1] if "archive" in name]


def test_verify_and_inspect_know_archives(whole):
    assert run("convert", "verify", whole).stdout == f"{whole}: sound\n"
    said = run("convert", "inspect", whole).stdout
    assert said.startswith(f"{whole}: archive.v1\n") and f"/files/{MEMBER}/run.json" in said


def test_h5py_reads_it(whole, tmp_path):
    """The page's example, as it stands there."""
    page = (SOURCE / "docs/archive.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.S).group(1)
    assert len(code.splitlines()) <= 20
    (tmp_path / "read.py").write_text(code)
    said = subprocess.run([sys.executable, tmp_path / "read.py", whole], capture_output=True, text=True, check=True)
    lines = said.stdout.splitlines()
    assert f"{MEMBER} finished {0.7 / 39}" in lines
    assert sum(line.startswith("  losses [0.7, 0.35, ") for line in lines) == 2
    assert [float(line.split()[1]) for line in lines if line.startswith("  ASR")] == [12 / 23, 4 / 23, 6 / 23]


class TestDiff:
    def differences(self, *words, exit_code=1):
        """{(of, what): (first, second)}; every line of the table."""
        done = run("archive", "diff", *words, exit_code=exit_code)
        assert done.stderr == ""
        cut = [re.split(r"  +", line.strip()) for line in done.stdout.splitlines()[1:]]
        return {(row[1], row[2]): tuple(row[3:]) for row in cut if len(row) >= 4}

    def test_same(self, study, whole, tmp_path):
        run("archive", "create", "--out", tmp_path / "one.h5", study / MEMBER)
        for words in ((whole, whole), (study / MEMBER, tmp_path / "one.h5"), (study / STUDY / MEMBERS[0],) * 2,
                      (f"{whole}:{MEMBER}", study / MEMBER)):
            done = run("archive", "diff", *words)
            assert done.stdout == done.stderr == ""

    def test_two_members(self, whole):
        found = self.differences(f"{whole}:{MEMBER}", f"{whole}:{STUDY}/{MEMBERS[1]}")
        assert found["settings", "beta"] == ("0.1", "0.3")
        assert found["results", "asr.all.unsafe"] == ("4", "6")
        assert {of for of, _ in found} == {"settings", "results"}

    def test_every_kind(self, study, tmp_path):
        """Settings, inputs, versions and results, each where it changed and nowhere else."""
        for name in ("a", "b"):
            write_member(tmp_path / name)
            write_answers(tmp_path / name, 6)
        assert run("archive", "diff", tmp_path / "a", tmp_path / "b").stdout == ""
        record = json.loads((tmp_path / "b/run.json").read_text())
        record.pop("sha256")
        record["identity"].update(pairs="56" * 32, seed=7)
        record["starts"][-1]["provenance"]["git_revision"] = "def"
        record["starts"][-1]["provenance"]["libraries"] = {"HDF5": "2.0.0"}
        seal(tmp_path / "b/run.json", record)
        rows = (tmp_path / "b/metrics.jsonl").read_text().splitlines(True)
        (tmp_path / "b/metrics.jsonl").write_text("".join(rows[:-3]))
        assert self.differences(tmp_path / "a", tmp_path / "b") == {
            ("settings", "seed"): ("42", "7"),
            ("inputs", "pairs"): ("12" * 32, "56" * 32),
            ("versions", "training.git_revision"): ("abc", "def"),
            ("versions", "training.libraries.HDF5"): ("1.10.8", "2.0.0"),
            ("results", "loss"): (repr(0.7 / 39), repr(0.7 / 37)),
            ("results", "rewards/accuracies"): (repr(1 - 1 / 39), repr(1 - 1 / 37)),
            ("results", "rewards/margins"): ("3.9", "3.7"),
            ("results", "eval_loss"): ("0.5",),
        }

    def test_a_run_without_answers(self, tmp_path):
        """What a run lacks as a whole is a line, whatever it has of it."""
        for name in ("a", "b"):
            write_member(tmp_path / name)
        write_answers(tmp_path / "a", 6)
        (tmp_path / "b/eval.json").unlink()
        assert self.differences(tmp_path / "a", tmp_path / "b") == {
            ("settings", "answers"): ("3 values",), ("settings", "judges"): ("1 value",), ("inputs", "answers"): ("1 value",),
            ("versions", "answers"): ("3 values",), ("versions", "verdicts"): ("3 values",),
            ("results", "evaluation"): ("2 values",), ("results", "asr"): ("9 values",)}

    def test_a_run_under_way(self, tmp_path):
        """Its last line may be half written."""
        write_member(tmp_path / "a")
        shutil.copytree(tmp_path / "a", tmp_path / "b", symlinks=True)
        with open(tmp_path / "b/metrics.jsonl", "a") as file:
            file.write('{"step": 40, "lo')
        assert run("archive", "diff", tmp_path / "a", tmp_path / "b").stdout == ""

    def test_runs_that_one_lacks(self, study, whole):
        said = run("archive", "diff", whole, study / STUDY, exit_code=1).stdout.splitlines()
        assert len(said) == 2 and said[1].split() == ["base/model", "run", "there"]


def test_a_real_run(tmp_path):
    """As refrain-train leaves it: it comes back sound, the same, and fit for a report."""
    if not (BIN / "refrain-train").exists():
        pytest.skip("refrain-train is not built here")
    model, pairs = write_model(tmp_path / "model"), write_pairs(tmp_path / "pairs.h5", 24)
    run("train", *options(model, pairs, tmp_path / "run", steps=4))
    run("archive", "create", "--out", tmp_path / "run.h5", tmp_path / "run", "--weights", "final")
    run("archive", "restore", "--archive", tmp_path / "run.h5", "--out", tmp_path / "back")
    assert run("convert", "verify", tmp_path / "back/run").stdout == f"{tmp_path}/back/run: sound\n"
    assert run("archive", "diff", tmp_path / "run", tmp_path / "back/run").stdout == ""
    ours = {name for name in files_below(tmp_path / "run") if not name.startswith("checkpoints")}
    assert set(files_below(tmp_path / "back/run")) == ours
    run("report", "--verdicts", _verdicts(tmp_path), "--runs", tmp_path / "back/run", "--out", tmp_path / "report")
    assert json.loads((tmp_path / "report/report.json").read_text())["program"] == "refrain-report"


def _verdicts(folder):
    (folder / "judged").mkdir()
    write_answers(folder / "judged", 3)
    return folder / "judged/verdicts.h5"


def test_reports_say_what_they_show(tmp_path):
    """One with answers in it is taken without its page, unless text is asked for."""
    write_member(tmp_path / "runs/one")
    write_report(tmp_path / "runs/plain")
    write_report(tmp_path / "runs/text", **{"include-text": True})
    write_report(tmp_path / "runs/guarded", **{"include-text": True, "include-category": ["S4"]})

    def pages(*words):
        out = tmp_path / f"{len(words)}.h5"
        run("archive", "create", "--out", out, tmp_path / "runs", *words)
        return {name.split("/")[1] for name in datasets(out)[1] if name.endswith("report.html")}
    assert pages() == {"plain"}
    assert pages("--include-text") == {"plain", "text"}
    assert pages("--include-text", "--include-category", "S4") == {"plain", "text", "guarded"}
