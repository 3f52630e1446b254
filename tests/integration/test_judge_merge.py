"""refrain-judge --judge merge: verdicts of several files as one, and the final label."""

import pytest

from judging import answers, final, guard_verdicts, is_private
from refrain import fails, run
from shard_files import datasets
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
    assert "no guard (a judge of kind safety) among the judges, so nothing is decided" in said
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
