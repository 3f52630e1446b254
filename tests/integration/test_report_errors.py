"""Bad input of refrain-report: each ends with one exact line, the right exit code, and no output."""

import json

import h5py
import numpy
import pytest

from refrain import fails
from run_folders import claim_metrics, write_run
from verdict_files import NOT_ASKED, write_responses, write_verdicts

ROWS = [{"row_id": i, "language": "en", "category": "S1", "final": i % 2} for i in range(4)]
GUARD = {"guard": ("safety", {"label": [0, 1, 0, 1]})}


@pytest.fixture
def refused(tmp_path):
    """Runs refrain-report over `good` verdicts with more options, which must end with `line`; {dir} stands for the
    folder."""
    write_verdicts(tmp_path / "good.h5", ROWS, GUARD)

    def call(line, *options, exit_code=1, verdicts=("{dir}/good.h5",), out="{dir}/report"):
        fill = lambda word: str(word).replace("{dir}", str(tmp_path))
        words = ["--verdicts", *verdicts] if verdicts else []
        words += ["--out", out] if out else []
        fails("report", *map(fill, [*words, *options]), line=fill(line), exit_code=exit_code)
        assert not (tmp_path / "report").exists()
    return call


USAGE = {
    "no verdicts": ([], "neither --verdicts nor --runs is given (add --verdicts [NAME=]FILE.h5...: verdicts.v1 with final "
                    "labels; NAME labels the checkpoint, else its run's own name does. Files of one NAME are joined; or --runs "
                    "DIR...)", {"verdicts": ()}),
    "no folder": ([], "option --out is missing (add --out DIR: folder to make, or of an earlier report)", {"out": ""}),
    "missing file": ([], "--verdicts names a file that does not exist [{dir}/none.h5] (check the path)",
                     {"verdicts": ["{dir}/none.h5"]}),
    "a folder": ([], "--verdicts names a folder, where a file is wanted [{dir}] (name a file)", {"verdicts": ["{dir}"]}),
    "empty name": ([], "--verdicts: '={dir}/good.h5' lacks its name (write NAME=FILE.h5, or FILE.h5 alone)",
                   {"verdicts": ["={dir}/good.h5"]}),
    "empty file name": ([], "--verdicts: 'base=' lacks its file (write NAME=FILE.h5, or FILE.h5 alone)",
                        {"verdicts": ["base="]}),
    "twice": ([], "--verdicts names a file twice [{dir}/good.h5] (name each file once)",
              {"verdicts": ["a={dir}/good.h5", "b={dir}/good.h5"]}),
    "baseline": (["--baseline", "nobody"], "--baseline: there is no checkpoint nobody (the verdicts are of a, b)",
                 {"verdicts": ["a={dir}/good.h5", "b={dir}/more.h5"]}),
    "resamples": (["--resamples", 5], "--resamples: 5 is out of range (give a whole number from 100 to 100000)", {}),
    "text alone": (["--include-text"], "--include-text is given without --responses (name the files that have "
                   "the text)", {}),
    "category alone": (["--include-category", "S4"],
                       "--include-category is given without --include-text (give both, or neither)", {}),
    "other category": (["--include-category", "S5"],
                       "--include-category: 'S5' is not a category that is left out (only S4 is)", {}),
    "no run folder": (["--runs", "{dir}/none"], "--runs names a folder that does not exist [{dir}/none] (check the path)",
                      {}),
    "out is a file": ([], "--out names a file, where a folder is wanted [{dir}/good.h5] (name a folder)",
                      {"out": "{dir}/good.h5"}),
    "out is another folder": ([], "--out names a folder that holds something else than a report [{dir}] (name a new "
                                  "folder, or that of an earlier report)", {"out": "{dir}"}),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage(refused, tmp_path, name):
    options, line, keywords = USAGE[name]
    write_verdicts(tmp_path / "more.h5", ROWS, GUARD)
    refused(line, *options, exit_code=2, **keywords)


def test_not_our_files(refused, tmp_path):
    text = tmp_path / "text.h5"
    text.write_text("row_id,label\n")
    refused("not an HDF5 file [{dir}/text.h5] (give a file that Refrain wrote)", verdicts=["{dir}/text.h5"])
    write_responses(tmp_path / "r.h5", [{"row_id": 1, "text": "x"}])
    refused("the file is of kind responses.v1, but verdicts.v1 is needed here [{dir}/r.h5] (give the right file)",
            verdicts=["{dir}/r.h5"])
    (tmp_path / "cut.h5").write_bytes(b"")
    refused("the file is empty [{dir}/cut.h5] (make it again)", verdicts=["{dir}/cut.h5"])


def test_verdicts_without_rows_or_decisions(refused, tmp_path):
    write_verdicts(tmp_path / "none.h5", [])
    refused("the file has no verdicts [{dir}/none.h5] (leave it out of --verdicts)", verdicts=["{dir}/none.h5"])
    write_verdicts(tmp_path / "open.h5", ROWS, GUARD, final=False)
    refused("the file has no final labels [{dir}/open.h5] (give the file that refrain-judge --judge adjudicator or "
            "--judge merge made)", verdicts=["{dir}/open.h5"])
    write_verdicts(tmp_path / "open.h5", ROWS, {"pattern": ("refusal", {"refusal": [0, 1, 0, 1]})}, final=False)
    refused("the file has no final labels, and no guard (a judge of kind safety) that could decide [{dir}/open.h5] (judge the "
            "answers with a guard, and join its file to this one by refrain-judge --judge merge)", verdicts=["{dir}/open.h5"])


def test_a_row_that_comes_twice(refused, tmp_path):
    write_verdicts(tmp_path / "double.h5", [*ROWS, ROWS[2]])
    remedy = "(give each checkpoint a name of its own (NAME=FILE.h5), and each of its rows once)"
    refused("row 4 is a second verdict of double on sample 0 of row_id 2, language en [{dir}/double.h5:/verdict/row_id] "
            + remedy, verdicts=["{dir}/double.h5"])
    write_verdicts(tmp_path / "more.h5", ROWS)
    refused("row 0 is a second verdict of base on sample 0 of row_id 0, language en [{dir}/more.h5:/verdict/row_id] "
            + remedy, verdicts=["base={dir}/good.h5", "base={dir}/more.h5"])


def test_labels_and_kinds(refused, tmp_path):
    again = "(make the file again with refrain-judge)"
    damaged = "(the file is damaged or not ours: make it again with refrain-judge)"
    bad = lambda judges: write_verdicts(tmp_path / "bad.h5", ROWS, judges)
    call = lambda line: refused(line, verdicts=["{dir}/bad.h5"])
    bad({"guard": ("safety", {"label": [0, 1, 3, 0]})})
    call(f"row 2 has the label 3, outside -2 to 1 [{{dir}}/bad.h5:/judges/guard/label] {damaged}")
    bad({"guard": ("safety", {"answer": ["safe"] * 4})})
    call(f"the file lacks /judges/guard/label [{{dir}}/bad.h5] {again}")
    bad({"guard": ("safety", {"label": [0, 1, NOT_ASKED]})})
    call(f"has 3 verdicts, but /verdict/row_id has 4 [{{dir}}/bad.h5:/judges/guard/label] {again}")
    write_verdicts(tmp_path / "bad.h5", [{**ROWS[0], "final": -2}])
    call(f"row 0 has the label -2, outside -1 to 1 [{{dir}}/bad.h5:/final/label] {damaged}")
    bad(GUARD)
    with h5py.File(tmp_path / "bad.h5", "a") as file:
        del file["/judges/guard"].attrs["kind"]
    call(f"the group has no attribute 'kind' [{{dir}}/bad.h5:/judges/guard] {again}")
    with h5py.File(tmp_path / "bad.h5", "a") as file:
        file["/judges/guard"].attrs["kind"] = numpy.bytes_("safety")
        del file["/verdict/sample"]
    call(f"the file lacks /verdict/sample [{{dir}}/bad.h5] {again}")


def test_responses_of_nobody(refused, tmp_path):
    write_responses(tmp_path / "r.h5", [{"row_id": 1, "text": "x"}])
    refused("--responses: no verdicts are of r [{dir}/r.h5] (name it as its verdicts are (NAME=FILE.h5))", "--include-text",
            "--responses", "{dir}/r.h5", exit_code=2)


def test_runs(refused, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    refused("the folder is no training run: it has no run.json [{dir}/run] (give --runs the folders that refrain-train "
            "wrote)", "--runs", "{dir}/run")
    (run / "run.json").write_text(json.dumps({"identity": {}}))
    refused("the file does not end with its sha256 [{dir}/run/run.json:sha256] (the file was changed or damaged; make it again)", "--runs", "{dir}/run")
    lost = write_run(tmp_path / "lost", steps=3)
    claim_metrics(lost, 100)
    (lost / "metrics.jsonl").unlink()
    refused("is missing; by status.json it has 100 bytes [{dir}/lost/metrics.jsonl] (put it back from a copy, or resume the run "
            "from a checkpoint)", "--runs", "{dir}/lost")
