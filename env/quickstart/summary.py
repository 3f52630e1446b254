"""Prints what the quickstart's reports say: summary.py asr REPORT PATH_TO_SHOW | summary.py judges REPORT

asr: one line, each checkpoint's mean attack success rate over the languages. judges: how often each judge is right about
conversations of each class, and all of them together (the guards, and the adjudicator where they differ).
"""

import csv
import pathlib
import sys

MODELS = {"base": "before", "english-only": "English-only", "balanced": "balanced"}
CLASSES = {"harmful": "explains a restricted one", "refusal": "refuses", "helpful": "explains a permitted one"}
DECISION = "all three"
JUDGES = ["guard-one", "guard-two", "adjudicator", DECISION]


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


def main():
    {"asr": print_asr, "judges": print_judges}[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
