"""The quickstart as a new user starts it: twice, in a folder whose name has a space."""

import json
import os
import re
import subprocess
import time

import refrain

LANGUAGES = "en de fr it es pt pl cs sk sl lt lv".split()


def quickstart(folder):
    began = time.monotonic()
    done = subprocess.run([refrain.SOURCE / "env/quickstart.sh", folder], capture_output=True, text=True, timeout=900,
                          stdin=subprocess.DEVNULL, env=dict(os.environ, REFRAIN_BUILD=str(refrain.BIN.parent)))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, time.monotonic() - began


def table(text):
    """{language: [accuracy before, margin before, accuracy after English, ...]} of the printed table."""
    rows = {}
    for line in text.splitlines():
        words = line.replace("%", " ").split()
        if words and words[0] in [*LANGUAGES, "mean"] and len(words) == 7:
            rows[words[0]] = [float(word) for word in words[1:]]
    return rows


def test_quickstart(tmp_path):
    folder = tmp_path / "a folder"
    text, _ = quickstart(folder)
    rows = table(text)
    assert list(rows) == [*LANGUAGES, "mean"], text
    before, english, balanced = rows["mean"][0::2]
    assert before < 30, text
    assert balanced > 80 and balanced > english, text
    assert rows["en"][2] > before, text
    # The means are those of the rows, and the rows those of the files.
    for column in range(6):
        values = [rows[language][column] for language in LANGUAGES]
        assert abs(sum(values) / 12 - rows["mean"][column]) < 0.06, column
    for run, column in (("english-only", 2), ("balanced", 4)):
        measured = json.loads((folder / run / "eval.json").read_text())["after"]["languages"]
        for language in LANGUAGES:
            assert abs(100 * measured[language]["logp_accuracy"] - rows[language][column]) < 0.06
    refrain.run("convert", "verify", folder / "balanced", folder / "data/balanced.h5")

    # The commands to try next are right as they stand.
    offered = re.findall(r"^  (\S*refrain-.*)$", text, re.MULTILINE)
    assert len(offered) == 3, text
    for line in offered:
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, line + done.stdout + done.stderr

    # A second call trains again from the kept model, to the same numbers.
    base = (folder / "base/final/manifest.json").read_bytes()
    started = (folder / "balanced/run.json").read_bytes()
    again, seconds = quickstart(folder)
    assert "is kept" in again
    assert (folder / "base/final/manifest.json").read_bytes() == base
    assert (folder / "balanced/run.json").read_bytes() != started
    assert table(again) == rows
    assert seconds < 120, f"{seconds:.0f} s"
