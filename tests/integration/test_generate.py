"""refrain-generate as a user starts it: what is killed goes on, and what is wrong is told in one line."""

import json
import random
import re
import signal
import time

import h5py
import pytest

from processes import Running
from refrain import LONG, fails, run, stories_with_template
from response_files import journal_lines

KILLS = 20 if LONG else 4
COLUMNS = ["id", "language", "category", "prompt", "text"]


def write_prompts(folder, model, count, before=0):
    """Prompts of two languages, and `before` them some of a third; fewer of them are the beginning of more."""
    folder.mkdir(exist_ok=True)
    draw = random.Random(3)
    words = "the little dog ran to a big red house and saw one happy girl who had no name".split()
    rows = [{"prompt": " ".join(draw.choices(words, k=draw.randint(1, 40))), "lang": draw.choice(["en", "de"]),
             "row_id": i, "id": f"p{i}", "category": "S4" if i % 10 == 9 else "S1"} for i in range(count)]
    rows = [{"prompt": f"the cat had {i} cups", "lang": "uk", "row_id": 100 + i, "id": f"p{100 + i}", "category": "S1"}
            for i in range(before)] + rows
    source = folder / "prompts.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run("shard", "--prompts", source, "--tokenizer", model, "--configuration", "all", "--out", folder / "prompts.h5")
    return folder / "prompts.h5"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generate")
    model = stories_with_template(folder / "model")
    return {"folder": folder, "model": model, "prompts": write_prompts(folder, model, 120)}


def words(inputs, out, *more, prompts=None):
    length = () if "--max-new-tokens" in more else ("--max-new-tokens", 60)
    return ["--checkpoint", inputs["model"], "--prompts", prompts or inputs["prompts"], "--out", out, *length,
            "--dtype", "fp32", *more]


def rows(path):
    with h5py.File(path) as file:
        text = {}
        for name in COLUMNS:
            data, ends = file[f"response/{name}/bytes"][:].tobytes(), file[f"response/{name}/offsets"][:]
            text[name] = [data[a:b].decode() for a, b in zip(ends, ends[1:])]
        return list(zip(file["response/row_id"], file["response/sample"], file["response/finish"],
                        *(text[name] for name in COLUMNS)))


def test_killed_runs_end_with_the_undisturbed_answers(inputs, tmp_path):
    """At random moments, on another number of ranks each time. Texts may differ at near ties alone: with this model there
    are none."""
    run("generate", *words(inputs, tmp_path / "whole.h5"))
    expected = rows(tmp_path / "whole.h5")
    assert [row[0] for row in expected] == [i for i in range(120) if i % 10 != 9]
    draw = random.Random(8)
    out = tmp_path / "killed.h5"
    kept = lambda: len(journal_lines(out))
    killed = 0
    while killed < KILLS or not kept():
        job = Running("generate", *words(inputs, out), ranks=draw.choice([1, 2, 3]))
        wanted, end = kept() + draw.randint(1, 40), time.monotonic() + draw.uniform(0.1, 2)
        # Every second one wherever it is, be it in loading; the others once more is kept.
        moment = (lambda: time.monotonic() > end) if killed % 2 else (lambda: kept() >= wanted)
        if job.until(moment):
            job.kill(job.ranks(), signal.SIGKILL)
        code, said = job.wait(60)
        assert code in (0, -signal.SIGKILL, 128 + signal.SIGKILL), said
        killed += code != 0
        if code == 0 or out.exists():  # it was faster: once more from the start
            assert rows(out) == expected
            out.unlink()
    there = kept()
    done = run("generate", *words(inputs, out), ranks=2)
    assert said_to_be_there(done) == there
    assert rows(out) == expected
    assert not out.with_name("killed.h5.parts").exists()
    run("convert", "verify", out)
    assert "already" in run("generate", *words(inputs, out)).stderr


def test_stopped_runs_say_so(inputs, tmp_path):
    job = Running("generate", *words(inputs, tmp_path / "out.h5"), ranks=2)
    parts = tmp_path / "out.h5.parts"
    assert job.until(lambda: any(path.stat().st_size for path in parts.glob("*.jsonl")) if parts.exists() else False)
    job.kill(job.ranks(), signal.SIGUSR1)
    said, _ = job.process.communicate(timeout=60)
    assert job.process.returncode == 85, said
    assert f"stopped; what is answered is kept in {parts}" in said


def test_category_s4_is_answered_on_request_alone(inputs, tmp_path):
    assert "12 prompts of category S4 are left out" in run("generate", *words(inputs, tmp_path / "all.h5")).stderr
    done = run("generate", *words(inputs, tmp_path / "all.h5", "--include-category", "S4"))
    assert "left out" not in done.stderr and said_to_be_there(done) == 108
    assert len(rows(tmp_path / "all.h5")) == 120


def test_an_answer_ends_before_a_stop_text(inputs, tmp_path):
    run("generate", *words(inputs, tmp_path / "whole.h5"))
    run("generate", *words(inputs, tmp_path / "cut.h5", "--stop", "."))
    for whole, cut in zip(rows(tmp_path / "whole.h5"), rows(tmp_path / "cut.h5"), strict=True):
        assert cut[-1] == whole[-1].split(".")[0]
        assert (cut[2] == 0) == ("." in whole[-1] or whole[2] == 0)


def test_wrong_input_is_told_in_one_line(inputs, tmp_path):
    def refused(line, *more, exit_code=2, ranks=1):
        fails("generate", *words(inputs, tmp_path / "out.h5", *more), line=line, exit_code=exit_code, ranks=ranks)

    refused("--samples 2 at --temperature 0 would all be the same answer (raise --temperature, or leave --samples out)",
            "--samples", 2)
    refused("--top-k and --top-p belong to sampling, and --temperature is 0 (raise it, or leave them out)", "--top-k", 5)
    refused("--include-category S1: only S4 is ever left out (leave it out)", "--include-category", "S1")
    with h5py.File(inputs["prompts"]) as file:
        longest = max(length for i, length in enumerate(file["prompt/length"]) if i % 10 != 9)
    refused(f"the longest prompt and answer have up to {longest + 60} tokens, the cache holds 16 (raise --cache-memory, or "
            "lower --max-new-tokens)", "--cache-memory", 0.00002)
    assert not (tmp_path / "out.h5").exists()


def begun(inputs, out, prompts=None):
    """A run that was killed once it had kept some answers. Returns how many."""
    job = Running("generate", *words(inputs, out, prompts=prompts))
    assert job.until(lambda: journal_lines(out))
    job.kill(job.ranks(), signal.SIGKILL)
    job.process.communicate(timeout=60)
    return len(journal_lines(out))


def test_answers_with_other_settings_are_not_mixed(inputs, tmp_path):
    out, remedy = tmp_path / "out.h5", "(give the same ones, or name another --out)"
    run("generate", *words(inputs, out))
    fails("generate", *words(inputs, out, "--stop", "x"), exit_code=2,
          line=f"the answers there were made with other settings: stop [{out}] {remedy}")
    begun(inputs, tmp_path / "next.h5")
    fails("generate", *words(inputs, tmp_path / "next.h5", "--seed", 7), exit_code=2,
          line=f"the answers there were made with other settings: seed [{tmp_path}/next.h5.parts] {remedy}")
    assert journal_lines(tmp_path / "next.h5")


def said_to_be_there(done):
    """How many answers the job says that it found: the others it made."""
    return int(re.search(r"(\d+) of \d+ answers are there already", done.stderr)[1])


def test_prompts_that_are_added_are_answered_alone(inputs, tmp_path):
    """To a finished file and to an unfinished one, before and behind what was there; the file equals one made at once."""
    first = write_prompts(tmp_path / "first", inputs["model"], 40)
    more = write_prompts(tmp_path / "more", inputs["model"], 60, before=10)
    whole, out, cut = tmp_path / "whole.h5", tmp_path / "out.h5", tmp_path / "cut.h5"
    run("generate", *words(inputs, whole, prompts=more))
    run("generate", *words(inputs, out, prompts=first))
    old = {row[0]: row for row in rows(out)}
    assert said_to_be_there(run("generate", *words(inputs, out, prompts=more), ranks=2)) == len(old) == 36
    assert rows(out) == rows(whole) and all(row == old.get(row[0], row) for row in rows(out))
    kept = begun(inputs, cut, prompts=first)
    assert kept < 36 and said_to_be_there(run("generate", *words(inputs, cut, prompts=more))) == kept
    assert rows(cut) == rows(whole)
    run("convert", "verify", out)
    fails("generate", *words(inputs, out, prompts=first), exit_code=2,
          line=f"28 answers are there and not asked for now, the first is uk/100/p100/0 [{out}] (give all prompts and "
               "samples that were asked for before, or name another --out)")


def test_samples_that_are_added_are_drawn_alone(inputs, tmp_path):
    draws = ["--temperature", 0.8, "--max-new-tokens", 20]
    prompts = write_prompts(tmp_path / "p", inputs["model"], 20)
    whole, out = tmp_path / "whole.h5", tmp_path / "out.h5"
    run("generate", *words(inputs, whole, *draws, "--samples", 3, prompts=prompts))
    run("generate", *words(inputs, out, *draws, "--samples", 2, prompts=prompts))
    again = run("generate", *words(inputs, out, *draws, "--samples", 3, prompts=prompts))
    assert said_to_be_there(again) == 36 and rows(out) == rows(whole)
    assert len({row[-1] for row in rows(out)}) > 50
    fails("generate", *words(inputs, out, *draws, "--samples", 1, "--include-category", "S4", prompts=prompts), exit_code=2,
          line=f"36 answers are there and not asked for now, the first is {rows(out)[1][4]}/0/p0/1 [{out}] (give all "
               "prompts and samples that were asked for before, or name another --out)")
