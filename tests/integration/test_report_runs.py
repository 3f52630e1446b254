"""What refrain-report tells of training runs: curves, pairs, hours, settings, and where they leave the paper's recipe."""

import csv
import json

import pytest

from refrain import run
from run_folders import write_run
from shard_files import tiny_tokenizer, corpus, write_jsonl
from verdict_files import drawn, write_verdicts


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_verdicts(folder / "balanced.h5", *drawn(1, 0.2, prompts=4))
    pairs = folder / "pairs.h5"
    rows = write_jsonl(folder / "pairs.jsonl", corpus(5))
    run("shard", "--pairs", rows, "--tokenizer", tiny_tokenizer(folder / "model"), "--chat-template", "llama-3",
        "--configuration", "all", "--out", pairs)
    # Stopped and requeued, then lost with its node, then failed and started again.
    troubled = write_run(folder / "runs/balanced", ranks=4, device="cuda", pairs=pairs, beta=0.3,
                         starts=("2026-01-31T10:00:00Z", "2026-01-31T12:00:00Z", "2026-01-31T20:00:00Z",
                                 "2026-01-31T21:00:00Z"),
                         endings=(("2026-01-31T11:00:00Z", "stopped"), ("2026-01-31T20:30:00Z", "failed"),
                                  ("2026-01-31T23:00:00Z", "finished")), updated="2026-01-31T22:59:00Z")
    plain = write_run(folder / "runs/plain", steps=3)
    for file in (plain / "metrics.jsonl", folder / "runs/balanced.starts.jsonl"):
        with open(file, "a") as out:
            out.write('{"step": 4, "lo')  # a last line that was cut off is none
    run("report", "--verdicts", folder / "balanced.h5", "--runs", troubled, plain, "--out", folder / "report")

    def table(name):
        if name.endswith((".tex", ".html", ".json")):
            return (folder / "report" / name).read_text()
        with open(folder / f"report/{name}.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    return table


def test_curves(read):
    table = read("curves")
    assert [row["run"] for row in table] == ["balanced"] * 39 + ["plain"] * 3
    assert [float(table[-1][key]) for key in ("step", "loss", "margin", "accuracy")] == pytest.approx(
        [3, 0.7 / 3, 0.3, 2 / 3])


def test_hours_of_all_starts(read):
    troubled, plain = read("hours")
    counts = {"ranks": 4, "starts": 4, "finished": 1, "stopped": 1, "failed": 1, "lost": 1}
    assert {key: int(troubled[key]) for key in counts} == counts
    assert troubled["device"] == "cuda"
    assert float(troubled["hours"]) == pytest.approx(4 * (1 + 0.5 + 2))
    assert float(troubled["hours_at_most"]) == pytest.approx(4 * (1 + 8 + 0.5 + 2))
    assert float(plain["hours"]) == pytest.approx(2 * 1.5) and plain["finished"] == "1"


def test_pairs_by_language(read):
    counts = {row["language"]: int(row["pairs"]) for row in read("pairs") if row["run"] == "balanced"}
    languages = {row["lang"] for row in corpus(5)}
    assert counts.keys() == languages | {"all"}
    assert counts["all"] == len(corpus(5)) == sum(counts.values()) - counts["all"]


def test_deviations(read):
    rows = {(row["run"], row["setting"]): (row["here"], row["paper"]) for row in read("deviations")}
    assert rows["balanced", "beta"] == ("0.3", "0.1")
    assert ("plain", "beta") not in rows
    assert rows["plain", "global-batch-pairs"] == ("64", "not stated")


def test_settings_stand_once(read):
    rows = [row for row in read("settings") if row["of"] == "training"]
    assert [(row["value"], row["checkpoints"]) for row in rows if row["setting"] == "learning-rate"] == [("1e-06", "all")]
    assert {(row["value"], row["checkpoints"]) for row in rows if row["setting"] == "beta"} == {("0.3", "balanced"),
                                                                                              ("0.1", "plain")}


def test_appendix(read):
    text = read("appendix.tex").replace("\\allowbreak{}", "")
    for label in ("tab:settings", "tab:deviations", "tab:pairs", "tab:hours", "tab:files"):
        assert text.count(f"\\label{{{label}}}") == 1
    assert text.count("\\begin{longtable}") == text.count("\\end{longtable}") == 4
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 1
    assert "git\\_revision" in text and "\\item Human labels" in text
    assert json.loads(read("report.json"))["program"] == "refrain-report"
