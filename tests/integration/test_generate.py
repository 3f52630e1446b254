"""refrain-generate as a user starts it: what is killed goes on, and what is wrong is told in one line."""

import json
import random
import signal

import h5py
import pytest

from processes import Running
from refrain import LONG, fails, run, stories_with_template

KILLS = 20 if LONG else 4
COLUMNS = ["id", "language", "category", "prompt", "text"]


def write_prompts(folder, model, count, **changes):
    draw = random.Random(3)
    words = "the little dog ran to a big red house and saw one happy girl who had no name".split()
    rows = [{"prompt": " ".join(draw.choices(words, k=draw.randint(1, 40))), "lang": draw.choice(["en", "de"]),
             "row_id": i, "id": f"p{i}", "category": "S4" if i % 10 == 9 else "S1", **changes} for i in range(count)]
    source = folder / "prompts.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run("shard", "--prompts", source, "--tokenizer", model, "--configuration", "all", "--out", folder / "prompts.h5")
    return folder / "prompts.h5"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generate")
    model = stories_with_template(folder / "model")
    return {"folder": folder, "model": model, "prompts": write_prompts(folder, model, 120)}


def words(inputs, out, *more):
    return ["--checkpoint", inputs["model"], "--prompts", inputs["prompts"], "--out", out, "--max-new-tokens", 60,
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
    """On another number of ranks each time. Texts may differ at near ties alone: with this model there are none."""
    run("generate", *words(inputs, tmp_path / "whole.h5"))
    expected = rows(tmp_path / "whole.h5")
    assert [row[0] for row in expected] == [i for i in range(120) if i % 10 != 9]
    draw = random.Random(8)
    out = tmp_path / "killed.h5"
    parts = tmp_path / "killed.h5.parts"
    for _ in range(KILLS):
        ranks = draw.choice([1, 2, 3])
        job = Running("generate", *words(inputs, out), ranks=ranks)
        lines = lambda: sum(path.read_text().count("\n") for path in parts.glob("*.jsonl")) if parts.exists() else 0
        before, more = lines(), draw.randint(1, 40)
        if not job.until(lambda: lines() >= before + more):
            break  # finished
        job.kill(job.ranks(), signal.SIGKILL)
        job.process.communicate(timeout=60)
        assert not out.exists()
    done = run("generate", *words(inputs, out), ranks=2)
    assert "already" in done.stderr  # some of the answers or, where the last start outran its killer, all of them
    assert rows(out) == expected
    assert not parts.exists()
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
    said = run("generate", *words(inputs, tmp_path / "all.h5", "--include-category", "S4")).stderr
    assert "left out" not in said
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


def test_answers_with_other_settings_are_not_mixed(inputs, tmp_path):
    out = tmp_path / "out.h5"
    run("generate", *words(inputs, out))
    fails("generate", *words(inputs, out, "--stop", "x"), exit_code=2,
          line=f"--out holds answers to other prompts or with other settings [{out}] (name another file, or remove it)")
    parts = tmp_path / "next.h5.parts"
    parts.mkdir()
    (parts / "settings.json").write_text("{}")
    fails("generate", *words(inputs, tmp_path / "next.h5"), exit_code=2,
          line=f"the answers kept here were made from other input or with other settings [{parts}] (give the same ones "
               "to go on, or remove the folder)")
