"""Runs refrain-tokenize, the text module's test program, and makes texts for it."""

import json
import random
import subprocess

from refrain import BIN, data

SPACES = ("\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u180e\u2000\u2003\u200a\u200b\u200c\u200d\u2028\u2029\u202f"
          "\u205f\u2060\u3000\ufeff\x00")
MARKERS = ["<|eot_id|>", "<|begin_of_text|>", "<|start_header_id|>", "<|eot_id", "<|reserved_special_token_7|>", "<s>",
           "</s>", "<unk>", "<0x0A>", "[INST]", "\u2581", "<|end_header_id|>\n\n"]
CONTRACTIONS = ["'s", "'S", "'LL", "'\u017f", "'re", "'Ve", "'", "\u2019s", "don't", "I'M", "'T'd"]
SCRIPTS = [(0x41, 0x7A), (0xC0, 0x24F), (0x400, 0x4FF), (0x370, 0x3FF), (0x600, 0x6FF), (0x4E00, 0x9FFF), (0x21, 0x2F),
           (0x30, 0x39), (0x660, 0x669), (0x1F300, 0x1F6FF), (0x300, 0x36F), (0x1100, 0x11FF), (0xAC00, 0xD7A3),
           (0x900, 0x97F), (0x1E00, 0x1FFF), (0x2120, 0x2130)]


def tokenize(folder, lines, *options):
    """One answer for each of `lines`: see tests/peers/tools/tokenize.cpp."""
    done = subprocess.run([BIN / "refrain-tokenize", folder, *options], capture_output=True, text=True, timeout=300,
                          input="".join(json.dumps(line) + "\n" for line in lines))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def udhr_lines():
    """Every line of the Universal Declaration in the languages of the test data."""
    return [line for path in sorted(data("udhr").glob("*.txt")) for line in path.read_text("utf-8").splitlines()]


def random_texts(count, seed, pieces=()):
    """Texts over several scripts, emoji, combining marks, odd white space, special tokens' text, and `pieces`."""
    rng = random.Random(seed)

    def piece():
        kind = rng.randrange(6 + bool(pieces))
        if kind < 2:
            low, high = rng.choice(SCRIPTS)
            text = "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 8)))
            return rng.choice(["", " "]) + text + rng.choice(["", "", "\u200d", "\ufe0f", "\u0301", "\u0327\u0301"])
        if kind == 2:
            return "".join(rng.choice(SPACES + "     ") for _ in range(rng.randint(1, 5)))
        if kind == 3:
            return rng.choice(MARKERS)
        if kind == 4:
            return rng.choice(CONTRACTIONS)
        if kind == 5:
            return rng.choice(["a", "the ", " of", "1", "\n", "--", "\u00bd", "e\u0301"]) * rng.randint(1, 3)
        return rng.choice(pieces)

    return ["".join(piece() for _ in range(rng.randint(0, 30))) for _ in range(count)]


def assert_equal(texts, ours, theirs):
    """Names the first text whose answers differ."""
    assert len(texts) == len(ours) == len(theirs)
    for text, our, their in zip(texts, ours, theirs):
        assert our == their, ascii(text)
