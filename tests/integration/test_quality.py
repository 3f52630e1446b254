"""Empty and endless answers: none among texts that people wrote, and all that were made endless."""

import json
import pathlib
import random
import subprocess
import time

import pytest

from refrain import BIN, data

LANGUAGES = "en de fr it es pt pl cs sk sl lt lv".split()
HOME = pathlib.Path(__file__).parents[2]


def quality(texts):
    """(empty, repetition) of each text."""
    done = subprocess.run([BIN / "refrain-quality"], capture_output=True, text=True, timeout=300,
                          input="".join(json.dumps(text) + "\n" for text in texts))
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(texts)
    return [(answer["empty"], answer["repetition"]) for answer in answers]


def strings(value):
    """All texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def written_texts():
    """Whole documents and single answers, requests, questions and lines."""
    for path in sorted(data("udhr").glob("*.txt")):
        yield from (path.read_text("utf-8"), *path.read_text("utf-8").splitlines())
    for path in sorted(data("udhr").glob("*.tsv")):
        yield path.read_text("utf-8")
    for folder in ("harmless", "mcq", "preferences"):
        for path in sorted(data(folder).glob("*.jsonl")):
            for line in path.read_text("utf-8").splitlines():
                yield from (line, *strings(json.loads(line)))
    for pattern in ("docs/*.md", "src/*/*.cpp", "src/*/*.json", "src/*/*/*.json", "tests/*/*.py", "slurm/*.sh"):
        for path in sorted(HOME.glob(pattern)):
            yield path.read_text("utf-8")


@pytest.fixture(scope="module")
def texts():
    found = [text for text in written_texts() if text.strip()]
    assert len(found) > 5000
    return found


def test_one_answer_of_the_preference_pairs_is_endless(texts):
    """A model gave it: a number with a thousand zeros. All else that models or people wrote there is not."""
    endless = [text for text, found in zip(texts, quality(texts)) if found != (False, False)]
    assert len(endless) == 1 and endless[0].startswith("1326134.000") and len(endless[0]) == 1024


def test_no_beginning_of_a_text_is_endless(texts):
    """Answers are cut where their length ends."""
    rng = random.Random(3)
    long = [text for text in texts if len(text) > 400 and "0" * 400 not in text]
    cut = [text[:rng.randrange(100, len(text))] for text in rng.choices(long, k=3000)]
    for text, found in zip(cut, quality(cut)):
        assert found == (False, False), text[-400:]


def test_a_text_that_ends_in_a_loop_is_found_wherever_it_is_cut():
    """A real text, then words or lines of its language again and again, some with a number that rises."""
    rng = random.Random(4)
    endless, not_yet, over = [], [], []
    for language in LANGUAGES:
        lines = data(f"udhr/{language}.txt").read_text("utf-8").splitlines()
        for _ in range(60):
            words = rng.choice(lines).split()
            begin = rng.randrange(len(words))
            unit = " ".join(words[begin:begin + rng.randint(1, 12)]) + rng.choice([" ", "\n", ", ", ".\n\n"])
            before = rng.choice(lines) + rng.choice(["\n", " "])
            if rng.random() < 0.3 and len(unit.split()) > 1 and sum(c.isalpha() for c in unit) >= 8:
                loop = "".join(f"{i + 1}. {unit}" for i in range(rng.randint(12, 40) + 200 // len(unit)))
                unit = f"0. {unit}"
            else:
                loop = unit * (rng.randint(9, 40) + 120 // len(unit))
            endless.append(before + loop[:len(loop) - rng.randrange(len(unit))])
            not_yet.append(before + unit * 3)
            over.append(before + loop + " " + rng.choice(lines))
    for text, found in zip(endless, quality(endless)):
        assert found == (False, True), text[-400:]
    for few in (not_yet, over):
        for text, found in zip(few, quality(few)):
            assert found == (False, False), text[-400:]


def test_long_answers_take_little_time():
    long = (data("udhr/en.txt").read_text("utf-8") * 10)[:100_000]
    answers = [long, "no " * 33_000, ("a" * 999 + "b") * 50 + ("a" * 998 + "b") * 50]
    start = time.monotonic()
    quality(answers * 50)
    assert time.monotonic() - start < 30  # 15 MB: about a second
