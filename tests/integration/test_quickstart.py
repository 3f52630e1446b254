"""The quickstart as a new user starts it, in a folder whose name has a space, and what it says against the files it made.
The tests stand in the order in which a user would do them: the first call is stopped by Ctrl-C and goes on, the last one
starts it anew."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import h5py
import numpy
import pytest

import refrain
from shard_files import text_column

sys.path.insert(0, str(refrain.SOURCE / "env/quickstart"))
import conversations  # noqa: E402

LANGUAGES = "en de fr it es pt pl cs sk sl lt lv".split()
MODELS = ["base", "english-only", "balanced"]
GUARDS = ["guard-one", "guard-two"]
SAFE, UNSAFE, NOT_ASKED = 0, 1, -2


def options(folder):
    return {"args": [refrain.SOURCE / "env/quickstart.sh", folder], "text": True, "stdin": subprocess.DEVNULL,
            "env": dict(os.environ, REFRAIN_BUILD=str(refrain.BIN.parent))}


def start(folder):
    return subprocess.run(**options(folder), capture_output=True, timeout=900)


def quickstart(folder):
    began = time.monotonic()
    done = start(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, time.monotonic() - began


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("quickstart") / "a folder"


@pytest.fixture(scope="module")
def stopped(folder):
    """Ctrl-C, which a terminal sends to all processes, while the first judge learns. What was said, and the exit code."""
    call = subprocess.Popen(**options(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while call.poll() is None and not (folder / "judges/guard-one/metrics.jsonl").exists():
        time.sleep(0.02)
    os.killpg(call.pid, signal.SIGINT)
    return call.communicate(timeout=60)[0], call.returncode


@pytest.fixture(scope="module")
def first(folder, stopped):
    return quickstart(folder)[0]


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    kept = [tmp_path / "mine/data/answers.h5", tmp_path / "mine/base/notes.txt"]
    for file in kept:
        file.parent.mkdir(parents=True)
        file.write_text("mine")
    done = start(tmp_path / "mine")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f"quickstart.sh: {tmp_path}/mine holds what the quickstart has not made (name a new folder, or an "
                           "empty one)\n")
    assert sorted(file for file in (tmp_path / "mine").rglob("*") if file.is_file()) == sorted(kept)


def test_a_call_that_is_stopped_goes_on(folder, stopped, first):
    said, code = stopped
    assert code == 130
    assert said.splitlines()[-1] == ("Teaching a random model to judge, guard-one (SFT, two ranks) ... stopped; the same "
                                     "command goes on")
    assert said.count("Teaching") == 2 and "failed" not in said
    steps = [line for line in first.splitlines() if " ... " in line]
    kept = [line.startswith(("Writing a tokenizer", "Teaching a random model to comply")) for line in steps]
    assert [line.endswith(" ... kept") for line in steps] == kept and sum(kept) == 2, first


def table(text):
    """{language: [accuracy before, margin before, accuracy after English, ...]} of the printed table of pairs."""
    rows = {}
    for line in text.splitlines():
        words = line.replace("%", " ").split()
        if words and words[0] in [*LANGUAGES, "mean"] and len(words) == 7:
            rows[words[0]] = [float(word) for word in words[1:]]
    return rows


def opening(text):
    """The three rates and the path of the final output's first line."""
    line = text.split("\n\n")[1]
    found = re.fullmatch(r"Mean ASR: (\S+) % before, (\S+) % English-only, (\S+) % balanced\. Report: (.+)", line)
    assert found, text
    return list(map(float, found.groups()[:3])), found[4]


def labels(path, name):
    with h5py.File(path) as file:
        return file[name][()]


def languages(path):
    with h5py.File(path) as file:
        return numpy.array(text_column(file, "/verdict/language"))


def test_opening_line_is_the_reports(folder, first):
    rates, path = opening(first)
    assert os.path.samefile(path, folder / "report/report.html")
    with open(folder / "report/asr.csv", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["language"] != "all"]
    for model, printed in zip(MODELS, rates):
        of_model = [row for row in rows if row["name"] == model]
        assert [row["language"] for row in of_model] == LANGUAGES
        assert abs(100 * sum(float(row["asr"]) for row in of_model) / 12 - printed) < 0.051
        # The report's rates are those of the decisions.
        verdicts = folder / f"safety/{model}.h5"
        final, language = labels(verdicts, "/final/label"), languages(verdicts)
        for row in of_model:
            own = final[language == row["language"]]
            assert (int(row["n"]), int(row["unsafe"])) == (len(own), (own == UNSAFE).sum())
    before, english, balanced = rates
    assert before > 80 and balanced < 30 and balanced < english <= before, first


def test_decisions(folder, first):
    differed = 0
    for model in MODELS:
        path = folder / f"safety/{model}.h5"
        one, two = (labels(path, f"/judges/{guard}/label") for guard in GUARDS)
        adjudicator, final = labels(path, "/judges/adjudicator/label"), labels(path, "/final/label")
        decided = (one == two) & (one >= 0)
        # An empty answer is undecided whatever is said of it.
        with h5py.File(path) as file:
            empty = file["/judges/quality/empty"][()] == 1
        assert (final[decided & ~empty] == one[decided & ~empty]).all()
        assert (adjudicator[decided] == NOT_ASKED).all()
        assert (adjudicator[~decided & ~empty] != NOT_ASKED).all()
        assert (final[~decided & ~empty] == adjudicator[~decided & ~empty]).all()
        differed += (~decided).sum()
        with h5py.File(path) as file:
            categories = set(text_column(file, "/verdict/category"))
        assert "S4" not in categories and len(categories) == 13
    assert differed > 0, "the guards never differ, so nothing shows that the adjudicator is asked"


def test_judges_accuracy_is_that_of_their_verdicts(folder, first):
    measured = folder / "judges/measured"
    printed = {}
    for line in first.splitlines():
        found = re.fullmatch(r"(guard-one|guard-two|adjudicator|all three) +([\d.]+) % +([\d.]+) % +([\d.]+) %", line)
        if found:
            printed[found[1]] = list(map(float, found.groups()[1:]))
    assert list(printed) == [*GUARDS, "adjudicator", "all three"], first
    for place, label in enumerate(conversations.CLASSES):
        right = UNSAFE if label == "harmful" else SAFE
        for judge, shares in printed.items():
            said = (labels(measured / f"{label}.h5", "/final/label") if judge == "all three" else
                    labels(measured / f"{judge}-{label}.h5", f"/judges/{judge}/label"))
            assert len(said) == 96
            assert abs(100 * (said == right).mean() - shares[place]) < 0.051, (judge, label)
    # They tell the classes apart, however well.
    assert min(printed["all three"]) > 50, first


def test_judges_are_measured_on_what_they_have_not_learned(folder, first):
    for judge in [*GUARDS, "adjudicator"]:
        learned = (folder / f"inputs/{judge}.jsonl").read_text()
        for label in conversations.CLASSES:
            for line in (folder / f"inputs/labelled-{label}.jsonl").read_text().splitlines():
                without_number = [part for part in re.split(r"\d+", json.loads(line)["response"]) if len(part) > 15]
                assert any(part not in learned for part in without_number), (judge, line)


@pytest.mark.parametrize("judge", ["guard-two", "adjudicator"])
def test_judges_learn_what_they_are_asked(folder, first, tmp_path, judge):
    """The conversations of the training rows are built in Python as refrain-judge builds its requests."""
    definition = refrain.SOURCE / f"env/quickstart/{judge}.json"
    refrain.run("judge", "--judge", definition, "--model", "m", "--responses", folder / "judges/measured/answers-refusal.h5",
                "--out", tmp_path / "v.h5", "--batch-out", tmp_path / "requests.jsonl")
    asked = [json.loads(line)["body"]["messages"] for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
    rows = [json.loads(line) for line in (folder / "inputs/labelled-refusal.jsonl").read_text().splitlines()]
    ours = [conversations.ask(json.loads(definition.read_text()), row["prompt"], row["response"], row["lang"]) for row in rows]
    assert len(asked) == len(rows) == 96 and sorted(map(json.dumps, asked)) == sorted(map(json.dumps, ours))


def test_report_opens_offline(folder, first):
    text = (folder / "report/report.html").read_text()
    assert "<script" not in text
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    for target in re.findall(r'(?:href|src)="([^"#]+)"', text):
        assert target == "data:," or (folder / "report" / target).is_file(), target
    for name in (*MODELS, *GUARDS, "adjudicator"):
        assert name in text


def test_table_of_pairs(folder, first):
    rows = table(first)
    assert list(rows) == [*LANGUAGES, "mean"], first
    before, english, balanced = rows["mean"][0::2]
    assert before < 30, first
    assert balanced > 80 and balanced > english, first
    assert rows["en"][2] > before, first
    # The means are those of the rows, and the rows those of the files.
    for column in range(6):
        values = [rows[language][column] for language in LANGUAGES]
        assert abs(sum(values) / 12 - rows["mean"][column]) < 0.06, column
    for run, column in (("english-only", 2), ("balanced", 4)):
        measured = json.loads((folder / run / "eval.json").read_text())["after"]["languages"]
        for language in LANGUAGES:
            assert abs(100 * measured[language]["logp_accuracy"] - rows[language][column]) < 0.06


def test_files_are_sound_and_the_offered_commands_right(folder, first):
    refrain.run("convert", "verify", folder / "balanced", folder / "data/balanced.h5", folder / "safety/balanced.h5",
                folder / "safety/answers-balanced.h5", folder / "judges/guard-one")
    offered = re.findall(r"^  (\S*refrain-.*)$", first, re.MULTILINE)
    assert len(offered) == 5, first
    for line in offered:
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, line + done.stdout + done.stderr


def test_second_call_keeps_what_does_not_change(folder, first):
    kept = [folder / "base/final/manifest.json", *(folder / f"judges/{judge}/final/manifest.json" for judge in GUARDS),
            folder / "judges/measured/report/judges.csv"]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in kept]
    started = (folder / "balanced/run.json").read_bytes()
    again, seconds = quickstart(folder)
    steps = [line for line in first.splitlines() if re.match("Writing a tok|Teaching a (random )?model|Measuring", line)]
    assert [line for line in again.splitlines() if line.endswith(" ... kept")] == [
        re.sub(r" \.\.\. .*", " ... kept", line) for line in steps]
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in kept] == before
    # The others are trained and judged again, to the same numbers.
    assert (folder / "balanced/run.json").read_bytes() != started
    assert table(again) == table(first)
    assert opening(again) == opening(first)
    assert seconds < 300, f"{seconds:.0f} s"
