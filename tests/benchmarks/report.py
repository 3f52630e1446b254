"""See report.sh."""

import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("REFRAIN_BIN", SOURCE / "build/bin"))
sys.path.insert(0, str(SOURCE / "tests/helpers"))

from verdict_files import LANGUAGES, drawn, write_verdicts  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=15)
    parser.add_argument("--prompts", type=int, default=1400, help="a language")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--mebibytes", type=float, default=500)
    parser.add_argument("--work", help="where the files go; else a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        work = pathlib.Path(work)
        words = []
        for i in range(options.checkpoints):
            rows, judges = drawn(i, 0.6 / (i + 1), prompts=options.prompts, categories=14)
            words.append(f"checkpoint-{i}={write_verdicts(work / f'{i}.h5', rows, judges)}")
        seconds = []
        for _ in range(options.repeats):
            begin = time.perf_counter()
            done = subprocess.run([BIN / "refrain-report", "--verdicts", *words, "--out", work / "report"],
                                  capture_output=True, text=True)
            seconds.append(time.perf_counter() - begin)
            if done.returncode != 0:
                sys.exit(done.stderr)
        page = (work / "report/report.html").stat().st_size / 2**20
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    count = options.checkpoints * len(LANGUAGES) * options.prompts
    print(f"{count:,} verdicts: {min(seconds):.2f} s (best of {len(seconds)}, worst {max(seconds):.2f}), peak {peak:.0f} MiB, "
          f"page {page:.1f} MiB")
    if max(seconds) > options.seconds or peak > options.mebibytes:
        sys.exit(f"wanted: at most {options.seconds:g} s and {options.mebibytes:g} MiB")


if __name__ == "__main__":
    main()
