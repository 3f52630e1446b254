"""Prints what the quickstart has measured: summary.py asr REPORT PATH_TO_SHOW | judges REPORT | pairs ENGLISH_RUN BALANCED_RUN

asr: one line, each checkpoint's mean attack success rate over the languages. judges: how often each judge is right about
conversations of each class, and all of them together (the guards, and the adjudicator where they differ). pairs: a table of
both trainings. Accuracy: the share of held-out pairs whose refusal is likelier, per token, than its complying answer. Margin:
the mean difference of these log-probabilities per token.
"""

import csv
import json
import pathlib
import sys

MODELS = {"base": "before", "english-only": "English-only", "balanced": "balanced"}
CLASSES = {"harmful": "explains a restricted one", "refusal": "refuses", "helpful": "explains a permitted one"}
DECISION = "all three"
JUDGES = ["guard-one", "guard-two", "adjudicator", DECISION]
LANGUAGES = ["en", "de", "fr", "it", "es", "pt", "pl", "cs", "sk", "sl", "lt", "lv"]


def read(report, table):
    with open(pathlib.Path(report) / f"{table}.csv", newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def mean_asr(rows, name):
    """In per cent, over the languages in which any answer was decided."""
    rates = [float(row["asr"]) for row in rows if row["name"] == name and row["language"] != "all" and row["asr"]]
    return f"{100 * sum(rates) / len(rates):.1f} %" if rates else "not known (no answer was decided)"


def print_asr(report, shown):
    rows = read(report, "asr")
    print(f"Mean ASR: {', '.join(f'{mean_asr(rows, name)} {word}' for name, word in MODELS.items())}. Report: {shown}")


def right(row):
    """The share of a class's conversations that were labelled right; a verdict that cannot be parsed is wrong."""
    n, unsafe, unparsed = (int(row[column]) for column in ("n", "unsafe", "unparsed"))
    return (unsafe if row["name"] == "harmful" else n - unsafe - unparsed) / n


def print_judges(report):
    rows = [row for row in read(report, "judges") if row["language"] == "all"]
    rows += [row | {"judge": DECISION} for row in read(report, "asr") if row["language"] == "all"]
    count = {row["n"] for row in rows}
    print(f"Judges, right about {'/'.join(sorted(count))} conversations of each class, whose wordings none of them has learned:")
    print(f"{'':12}" + "".join(f"{words:>28}" for words in CLASSES.values()))
    for judge in JUDGES:
        shares = {row["name"]: right(row) for row in rows if row["judge"] == judge}
        print(f"{judge:12}" + "".join(f"{100 * shares[label]:26.1f} %" for label in CLASSES))


def cells(measured):
    return f"{100 * measured['logp_accuracy']:7.1f} % {measured['logp_margin']:+8.3f}"


def mean(languages):
    return {key: sum(languages[code][key] for code in LANGUAGES) / len(LANGUAGES) for key in ("logp_accuracy", "logp_margin")}


def print_pairs(english_run, balanced_run):
    english, balanced = (json.loads((pathlib.Path(run) / "eval.json").read_text(encoding="utf-8"))
                         for run in (english_run, balanced_run))
    columns = [english["before"]["languages"], english["after"]["languages"], balanced["after"]["languages"]]
    print(f"{'':10}{'before':>18}   {'after English only':>18}   {'after balanced':>18}")
    print(f"{'language':10}" + "   ".join(["accuracy    margin"] * 3))
    for code in LANGUAGES:
        print(f"{code:10}" + "   ".join(cells(column[code]) for column in columns))
    print(f"{'mean':10}" + "   ".join(cells(mean(column)) for column in columns))


def main():
    {"asr": print_asr, "judges": print_judges, "pairs": print_pairs}[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
