"""See tokenizer.sh; a tokenizer of Qwen2's kind is trained for it. First: the first pass over the text, when no word is known; best: the best pass after it."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from tokenizers import Tokenizer

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/helpers"))
import qwen_tokenizer

BIN = pathlib.Path(os.environ.get("REFRAIN_BIN", SOURCE / "build/bin"))
DATA = pathlib.Path(os.environ.get("REFRAIN_TEST_DATA", SOURCE / "../shared/data"))


def ours(folder, lines, repeats):
    command = [BIN / "refrain-tokenize", folder, "--repeat", str(repeats)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    answer = json.loads(done.stdout)
    return answer["load_seconds"], answer["seconds"], answer["ids"]


def theirs(folder, lines, repeats):
    start = time.perf_counter()
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    load, seconds = time.perf_counter() - start, []
    for _ in range(repeats):
        start = time.perf_counter()
        ids = sum(len(tokenizer.encode(line, add_special_tokens=False).ids) for line in lines)
        seconds.append(time.perf_counter() - start)
    return load, seconds, ids


def main():
    parser = argparse.ArgumentParser(description="Our tokenizer and `tokenizers`, one thread each")
    parser.add_argument("--tokenizer", action="append", type=pathlib.Path, help="a folder with tokenizer.json")
    parser.add_argument("--text", action="append", type=pathlib.Path, help="a text file, encoded line by line")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    files = options.text or sorted((DATA / "udhr").glob("*.txt"))
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    megabytes = sum(len(line.encode()) for line in lines) / 1e6
    if not lines:
        sys.exit(f"no text in {DATA / 'udhr'}: set REFRAIN_TEST_DATA or give --text")
    print(f"{len(lines)} lines, {megabytes:.3f} MB, {options.repeats} passes, one thread")
    print(f"{'tokenizer':<12}{'':10}{'load s':>8}{'first MB/s':>12}{'best MB/s':>12}{'ids':>9}")
    temporary = tempfile.TemporaryDirectory()
    qwen2 = pathlib.Path(temporary.name) / "qwen2"
    qwen2.mkdir()
    folders = options.tokenizer or [DATA / "tokenizers/llama3", DATA / "stories260K/hf",
                                    qwen_tokenizer.train(qwen2, size=30_000)]
    for folder in folders:
        # Ours runs before and after theirs, so that a machine that slows down favours nobody.
        runs = {"refrain": ours(folder, lines, options.repeats), "tokenizers": theirs(folder, lines, options.repeats)}
        again = ours(folder, lines, options.repeats)
        runs["refrain"] = (min(runs["refrain"][0], again[0]), min(runs["refrain"][1], again[1]), again[2])
        name = folder.parent.name if folder.name == "hf" else folder.name
        for who, (load, seconds, ids) in runs.items():
            first, best = megabytes / seconds[0], megabytes / min(seconds[1:])
            print(f"{name:<12}{who:<10}{load:8.2f}{first:12.1f}{best:12.1f}{ids:9}")
        (_, us, our_ids), (_, them, their_ids) = runs["refrain"], runs["tokenizers"]
        if our_ids != their_ids:
            sys.exit("the numbers of ids differ")
        print(f"{name:<12}{'ratio':<10}{'':8}{them[0] / us[0]:12.1f}{min(them[1:]) / min(us[1:]):12.1f}")


if __name__ == "__main__":
    main()
