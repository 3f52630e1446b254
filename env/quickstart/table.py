"""Prints the quickstart's table from what its two trainings measured: table.py ENGLISH_RUN BALANCED_RUN

Accuracy: the share of held-out pairs whose refusal is likelier, per token, than its complying answer. Margin: the mean
difference of these log-probabilities per token.
"""

import json
import pathlib
import sys

LANGUAGES = ["en", "de", "fr", "it", "es", "pt", "pl", "cs", "sk", "sl", "lt", "lv"]


def read(run):
    return json.loads((pathlib.Path(run) / "eval.json").read_text(encoding="utf-8"))


def cells(measured):
    return f"{100 * measured['logp_accuracy']:7.1f} % {measured['logp_margin']:+8.3f}"


def mean(languages):
    return {key: sum(languages[code][key] for code in LANGUAGES) / len(LANGUAGES) for key in ("logp_accuracy", "logp_margin")}


def main():
    english, balanced = read(sys.argv[1]), read(sys.argv[2])
    columns = [english["before"]["languages"], english["after"]["languages"], balanced["after"]["languages"]]
    print(f"{'':10}{'before':>18}   {'after English only':>18}   {'after balanced':>18}")
    print(f"{'language':10}" + "   ".join(["accuracy    margin"] * 3))
    for code in LANGUAGES:
        print(f"{code:10}" + "   ".join(cells(column[code]) for column in columns))
    print(f"{'mean':10}" + "   ".join(cells(mean(column)) for column in columns))


if __name__ == "__main__":
    main()
