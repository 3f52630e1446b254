"""Sweeps in the report: members ranked by held-out pairs and dev verdicts, with heat maps, and never by test verdicts."""

import csv
import re

import pytest

from refrain import fails, run
from run_folders import write_run
from verdict_files import write_verdicts

SWEEP = "dpo_8b_balanced"
PAIRS = "ab" * 32


def member(beta, rate):
    return f"beta={beta},lr={rate},seed=42"


def make_run(folder, beta, rate, accuracy, margin, pairs=PAIRS, **more):
    return write_run(folder / "runs" / SWEEP / member(beta, rate), beta=beta, steps=3,
                     **{"learning-rate": float(rate), "eval-pairs": pairs, **more},
                     evaluation={"rewards/accuracies": accuracy, "rewards/margins": margin})


def rows(unsafe, first=1000, count=20):
    """Verdicts about dev prompts, or, from 0 on, about the test's."""
    return [{"row_id": first + i, "language": "en", "category": "S1", "final": int(i < unsafe)} for i in range(count)]


def dev_verdicts(folder, run_dir, unsafe, **more):
    responses = {"options": {"checkpoint": str(run_dir / "final")}}
    (run_dir / "dev").mkdir(exist_ok=True)
    return write_verdicts(run_dir / "dev/verdicts.h5", rows(unsafe, **more),
                          provenance={"program": "refrain-judge", "responses": responses})


def read(folder, name):
    with open(folder / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Five members, one of which has not finished, over two values of beta and three learning rates."""
    folder = tmp_path_factory.mktemp("ranking")
    runs = [make_run(folder, 0.1, "1e-6", 0.90, 0.4), make_run(folder, 0.1, "5e-7", 0.80, 0.2),
            make_run(folder, 0.3, "1e-6", 0.95, 0.912345), make_run(folder, 0.3, "1e-5", 0.90, 1.5),
            make_run(folder, 0.3, "5e-7", 0.99, 2.0, state="running")]
    return folder, runs


def test_members_are_ranked_by_held_out_pairs(sweep):
    folder, runs = sweep
    run("report", "--runs", *runs, "--out", folder / "pairs alone")
    table = read(folder / "pairs alone", "ranking")
    assert [(row["run"], row["accuracy_place"], row["margin_place"], row["asr_place"]) for row in table] == [
        (f"{SWEEP}/{member(0.3, '1e-6')}", "1", "2", ""), (f"{SWEEP}/{member(0.3, '1e-5')}", "2", "1", ""),
        (f"{SWEEP}/{member(0.1, '1e-6')}", "2", "3", ""), (f"{SWEEP}/{member(0.1, '5e-7')}", "4", "4", ""),
        (f"{SWEEP}/{member(0.3, '5e-7')}", "", "", "")]  # it runs: no place
    assert [row["learning_rate"] for row in table] == ["1e-6", "1e-5", "1e-6", "5e-7", "5e-7"]
    assert table[0]["dev_pairs"] == PAIRS[:12] and table[4]["state"] == "running"

    grid = [row for row in read(folder / "pairs alone", "sweep_grid") if row["measure"] == "accuracy"]
    assert [(row["beta"], row["learning_rate"], row["members"], row["value"]) for row in grid] == [
        ("0.1", "5e-7", "1", "0.8"), ("0.1", "1e-6", "1", "0.9"), ("0.1", "1e-5", "0", ""),
        ("0.3", "5e-7", "0", ""), ("0.3", "1e-6", "1", "0.95"), ("0.3", "1e-5", "1", "0.9")]
    assert {path.name for path in (folder / "pairs alone").glob("dev_*")} == {
        "dev_accuracy.svg", "dev_accuracy.pdf", "dev_margin.svg", "dev_margin.pdf"}
    picture = (folder / "pairs alone/dev_accuracy.svg").read_text()
    words = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    assert words == ["beta (rows), learning rate (columns)", "5e-7", "1e-6", "1e-5", "0.1", "0.3", "80.0", "90.0", "95.0",
                     "90.0"]
    margins = re.findall(r"<text[^>]*>([^<]*)</text>", (folder / "pairs alone/dev_margin.svg").read_text())
    assert margins[-4:] == ["0.2", "0.4", "0.912", "1.5"]
    page = (folder / "pairs alone/report.html").read_text()
    assert "Ranking by the dev split" in page and "Attack success by language" not in page


def test_members_are_ranked_by_dev_prompts(sweep, tmp_path):
    folder, runs = sweep
    dev = [dev_verdicts(folder, run_dir, unsafe) for run_dir, unsafe in zip(runs, (4, 2, 6, 2))]
    test = write_verdicts(tmp_path / "test.h5", rows(0, first=0))
    run("report", "--verdicts", f"base={test}", "--runs", *runs, "--dev-verdicts", *dev, "--out", tmp_path / "report")
    table = {row["run"].split("/")[1]: row for row in read(tmp_path / "report", "ranking")}
    assert {name: (row["asr"], row["asr_place"]) for name, row in table.items()} == {
        member(0.1, "1e-6"): ("0.2", "3"), member(0.1, "5e-7"): ("0.1", "1"), member(0.3, "1e-6"): ("0.3", "4"),
        member(0.3, "1e-5"): ("0.1", "1"), member(0.3, "5e-7"): ("", "")}
    assert (tmp_path / "report/dev_asr.svg").exists()
    # The test's verdicts are of the base alone, and nothing of them is in the ranking.
    assert [row["name"] for row in read(tmp_path / "report", "pooled")] == ["base"]
    assert "never by verdicts of the test" in (tmp_path / "report/report.html").read_text()


def test_runs_evaluated_on_other_pairs_are_not_compared(tmp_path):
    runs = [make_run(tmp_path, 0.1, "1e-6", 0.9, 0.4), make_run(tmp_path, 0.3, "1e-6", 0.8, 0.4, pairs="cd" * 32)]
    run("report", "--runs", *runs, "--out", tmp_path / "report")
    assert [row["accuracy_place"] for row in read(tmp_path / "report", "ranking")] == ["1", "1"]


def test_equal_cells_of_several_seeds_are_a_mean(tmp_path):
    runs = [write_run(tmp_path / f"s/beta={beta},lr=1e-6,seed={seed}", beta=beta, seed=seed, steps=1,
                      **{"eval-pairs": PAIRS}, evaluation={"rewards/accuracies": accuracy})
            for beta, seed, accuracy in ((0.1, 1, 0.5), (0.1, 2, 1.0), (0.2, 1, 0.25))]
    run("report", "--runs", *runs, "--out", tmp_path / "report")
    assert [(row["members"], row["value"]) for row in read(tmp_path / "report", "sweep_grid")] == [("2", "0.75"),
                                                                                                 ("1", "0.25")]


def test_runs_without_held_out_pairs_are_not_ranked(tmp_path):
    run("report", "--runs", write_run(tmp_path / "a"), write_run(tmp_path / "b"), "--out", tmp_path / "report")
    assert not (tmp_path / "report/ranking.csv").exists() and (tmp_path / "report/curves.csv").exists()


class TestRefusals:
    @pytest.fixture
    def files(self, tmp_path):
        run_dir = make_run(tmp_path, 0.1, "1e-6", 0.9, 0.4)
        other = make_run(tmp_path, 0.3, "1e-6", 0.9, 0.4)
        return {"run": run_dir, "other": other, "dev": dev_verdicts(tmp_path, run_dir, 3),
                "test": write_verdicts(tmp_path / "test.h5", rows(3, first=0)), "out": tmp_path / "report"}

    def refuse(self, files, line, *words, exit_code=1):
        fails("report", *words, "--out", files["out"], line=line, exit_code=exit_code)
        assert not files["out"].exists()

    def test_test_verdicts_as_dev_verdicts(self, files):
        self.refuse(files, f"--dev-verdicts names a file of --verdicts [{files['test']}] (nothing is ranked by test "
                           "verdicts: give verdicts about answers to dev prompts)", "--verdicts", files["test"],
                    "--dev-verdicts", files["test"], "--runs", files["run"], exit_code=2)

    def test_dev_verdicts_about_the_tests_prompts(self, files, tmp_path):
        dev = dev_verdicts(tmp_path, files["run"], 3, first=19)  # the last prompt of the test
        self.refuse(files, "row_id 19, language en, is a prompt of --dev-verdicts and of --verdicts "
                           f"[{dev}] (nothing is ranked by test verdicts: judge answers to dev prompts, whose language, "
                           "row_id and id tell them apart)", "--verdicts", files["test"], "--dev-verdicts", dev,
                    "--runs", files["run"])

    def test_dev_verdicts_of_no_run(self, files):
        self.refuse(files, f"--dev-verdicts: no run of --runs is called base [{files['dev']}] (name it as its run is "
                           "(NAME=FILE.h5), or give the run)", "--dev-verdicts", f"base={files['dev']}", "--runs",
                    files["run"], exit_code=2)
        self.refuse(files, "--dev-verdicts is given without --runs (give the runs that are to be ranked)", "--verdicts",
                    files["test"], "--dev-verdicts", files["dev"], exit_code=2)

    def test_members_judged_on_different_prompts(self, files, tmp_path):
        more = dev_verdicts(tmp_path, files["other"], 3, count=21)
        self.refuse(files, f"dev verdicts of {SWEEP}/{member(0.3, '1e-6')} are about other prompts than those of "
                           f"{SWEEP}/{member(0.1, '1e-6')} [{more}] (judge all members of a sweep on the same dev "
                           "prompts)", "--dev-verdicts", files["dev"], more, "--runs", files["run"], files["other"])
