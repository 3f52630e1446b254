"""refrain-judge that is stopped or killed: it goes on where it was, on any number of ranks, to the same verdicts."""

import random
import signal
import time

import pytest

from judging import answers, assert_the_same, guard_verdicts
from processes import Running
from refrain import LONG, run, stories_with_template
from shard_files import datasets
from small_guard import write_judge

KILLS = 20 if LONG else 4
ROWS = 600 if LONG else 120  # a rank syncs its journals every 64 answers
ASK = {"user": ["{prompt}", "{response}"], "max_tokens": 24}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """The stories model as a guard that says nothing in its form, two files of answers, a guard that reads likelihoods."""
    folder = tmp_path_factory.mktemp("resume")
    draw = random.Random(6)
    words = "the little dog ran to a big red house and saw one happy girl who had no name".split()
    texts = lambda: [" ".join(draw.choices(words, k=draw.randint(3, 60))) for _ in range(ROWS)]
    prompts = texts()
    files = [answers(folder, texts(), name, prompts) for name in ("base", "tuned")]
    read = {"label_tokens": {"safe": " he", "unsafe": " she"}, "categories": {"line": 1}}
    return {"model": stories_with_template(folder / "model"), "files": files,
            "words": write_judge(folder, "by-words", ask=ASK, kind="rubric",
                                 read={"score": {"line": 1, "least": 1, "most": 5}}),
            "tokens": write_judge(folder, "by-tokens", ask=ASK, kind="safety", read=read)}


def words_of(inputs, judge, out):
    return ["--judge", inputs[judge], "--checkpoint", inputs["model"], "--responses", *inputs["files"], "--out", *out,
            "--dtype", "fp32"]


def assert_all_the_same(files, others):
    for one, other in zip(files, others, strict=True):
        assert_the_same(one, other)


def lines(out):
    """Records in the journals."""
    return sum(path.read_text().count("\n") for file in out
               for path in file.with_name(file.name + ".parts").glob("*.jsonl"))


@pytest.mark.parametrize("judge", ["words", "tokens"])
def test_killed_runs_end_with_the_undisturbed_verdicts(inputs, judge, tmp_path):
    """At random moments, on another number of ranks each time."""
    whole = [tmp_path / "whole-base.h5", tmp_path / "whole-tuned.h5"]
    run("judge", *words_of(inputs, judge, whole))
    out = [tmp_path / "base.h5", tmp_path / "tuned.h5"]
    draw = random.Random(8)
    kept = killed = 0
    while killed < KILLS:
        job = Running("judge", *words_of(inputs, judge, out), ranks=draw.choice([1, 2, 3]))
        before, end = lines(out), time.monotonic() + draw.uniform(0.1, 2)
        # Every second one wherever it is, be it in loading; the others once more is kept.
        moment = (lambda: time.monotonic() > end) if killed % 2 else (lambda: lines(out) > before)
        if job.until(moment):
            job.kill(job.ranks(), signal.SIGKILL)
            killed += 1
        job.process.communicate(timeout=60)
        kept = max(kept, lines(out))
        if all(file.exists() for file in out):  # it was faster: once more from the start
            assert_all_the_same(out, whole)
            for file in out:
                file.unlink()
    assert kept > 0
    run("judge", *words_of(inputs, judge, out), ranks=2)
    assert lines(out) == 0
    assert_all_the_same(out, whole)
    assert not list(tmp_path.glob("*.parts"))
    run("convert", "verify", *out)


def test_a_signal_stops_it(inputs, tmp_path):
    """With exit code 85 on all ranks; the same command goes on, on fewer ranks."""
    out = [tmp_path / "base.h5", tmp_path / "tuned.h5"]
    job = Running("judge", *words_of(inputs, "words", out), ranks=2)
    assert job.until(lambda: lines(out) > 0)
    job.kill(job.ranks(), signal.SIGUSR1)
    code, said = job.wait()
    assert code == 85, said
    assert "stopped; what is judged is kept, and the same command goes on from there" in said
    kept = lines(out)
    assert 0 < kept < 2 * ROWS and not any(file.exists() for file in out)
    said = run("judge", *words_of(inputs, "words", out)).stderr
    counts = [int(line.split(" of ")[0].split()[-1]) for line in said.splitlines() if "are there already" in line]
    assert sum(counts) == kept
    whole = [tmp_path / "whole-base.h5", tmp_path / "whole-tuned.h5"]
    run("judge", *words_of(inputs, "words", whole))
    assert_all_the_same(out, whole)


def test_a_signal_that_comes_when_one_rank_is_done(inputs, tmp_path):
    """It stops with the others, in time."""
    file = answers(tmp_path, ["no " * 60 if i % 2 == 0 else "no" for i in range(61)])
    out = tmp_path / "out.h5"
    # Room for one request at a time: the second rank, with the short ones, is done long before the first.
    job = Running("judge", "--judge", inputs["words"], "--checkpoint", inputs["model"], "--responses", file, "--out", out,
                  "--dtype", "fp32", "--cache-memory", 16 * 16 * 5 * 2 * 4 * 8 * 4 / 2**30, ranks=2)
    second = lambda: sum(path.read_text().count("\n") for path in (tmp_path / "out.h5.parts").glob("rank-1*"))
    assert job.until(lambda: second() == 30)
    job.kill(job.ranks(), signal.SIGUSR1)
    code, said = job.wait()
    assert code == 85, said


def test_an_adjudication_goes_on_too(inputs, tmp_path):
    """With the guards' verdicts beside it: only rows on which they differ are judged, before and after."""
    differ = [i % 2 for i in range(ROWS)]
    file = inputs["files"][0]
    guards = [guard_verdicts(file, "one", [0] * ROWS), guard_verdicts(file, "two", differ)]
    words = lambda out: ["--judge", inputs["tokens"], "--checkpoint", inputs["model"], "--responses", file,
                         "--verdicts", *guards, "--out", out, "--dtype", "fp32"]
    job = Running("judge", *words(tmp_path / "out.h5"))
    assert job.until(lambda: lines([tmp_path / "out.h5"]) > 0)
    job.kill([job.process.pid], signal.SIGKILL)
    job.process.communicate(timeout=60)
    run("judge", *words(tmp_path / "out.h5"), ranks=2)
    run("judge", *words(tmp_path / "whole.h5"))
    assert_the_same(tmp_path / "out.h5", tmp_path / "whole.h5")
    asked = [label != -2 for label in datasets(tmp_path / "out.h5")["judges/by-tokens/label"]]
    assert asked == [bool(value) for value in differ]
