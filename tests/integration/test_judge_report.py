"""From guards to the report: what refrain-judge makes of answers of two checkpoints, refrain-report reads."""

import csv

from chat_server import ChatServer
from judging import answers, column, final, published_language_model, says, server_options
from refrain import run
from shard_files import provenance
from small_guard import write_judge

SAFE, UNSAFE, UNPARSED = 0, 1, -1


def test_from_guards_to_a_report(tmp_path):
    """Guard, guard, adjudicator, language and phrases over answers of two checkpoints; the report reads what they made."""
    texts = {"base": [f"Here is restricted activity {i} in a plan of mine." for i in range(6)] + [""],
             "tuned": [f"I cannot help with restricted activity {i}, I am sorry." for i in range(6)] + ["I cannot."]}
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
        run("judge", "--judge", "language", "--language-model", published_language_model(), "--responses", file, "--out",
            made("language"))
        run("judge", "--judge", "refusal-pattern", "--responses", file, "--out", made("refusals"))
        said += run("judge", "--judge", "merge", "--verdicts", made("decided"), made("language"), made("refusals"), "--out",
                    tmp_path / f"{name}.verdicts.h5").stderr
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
    assert "restricted activity" not in page
