"""Runs that are killed or stopped go on from their last checkpoint and end with the same bits."""

import json
import pathlib
import random
import re
import shutil
import signal

import numpy as np
import pytest

import checkpoints
from processes import Running
from refrain import LONG, NOT_THE_RESULT, fails, metrics, run
from small_runs import options, train_to, write_model, write_pairs

LAYOUTS, KILLS = ([(1, 1), (2, 2), (4, 2)], 20) if LONG else ([(2, 2), (4, 2)], 2)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    return {"folder": folder, "model": write_model(folder / "model"), "pairs": write_pairs(folder / "pairs.h5", 44),
            "eval": write_pairs(folder / "eval.h5", 10, seed=9)}


def command_of(inputs, run_dir, tensor):
    return [*options(inputs["model"], inputs["pairs"], run_dir), "--tensor-parallel", tensor, "--checkpoint-every", 2,
            "--eval-pairs", inputs["eval"], "--eval-every", 5]


def rows_of(run_dir):
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in NOT_THE_RESULT} for row in rows]


@pytest.fixture(scope="module")
def undisturbed(inputs):
    """Final weights and metrics by layout, made when first asked for."""
    known = {}

    def get(ranks, tensor):
        if (ranks, tensor) not in known:
            run_dir = inputs["folder"] / f"undisturbed-{ranks}-{tensor}"
            run("train", *command_of(inputs, run_dir, tensor), ranks=ranks)
            known[ranks, tensor] = checkpoints.tensors(run_dir / "final"), rows_of(run_dir), run_dir
        return known[ranks, tensor]

    return get


def assert_same(run_dir, expected):
    weights, rows, _ = expected
    final = checkpoints.tensors(run_dir / "final")
    for name, value in weights.items():
        assert np.array_equal(final[name].view(np.uint32), value.view(np.uint32)), name
    assert rows_of(run_dir) == rows
    assert not (run_dir / "checkpoints").exists() or not list((run_dir / "checkpoints").glob("step-*"))
    assert json.loads((run_dir / "status.json").read_text())["state"] == "finished"
    run("convert", "verify", run_dir)


def kill_while_training(words, run_dir, ranks, draw):
    """Kills one rank or all after a step from 1 to 10."""
    step = draw.randint(1, 10)
    job = Running("train", *words, ranks=ranks)
    assert job.until(lambda: trained(run_dir, step)), job.wait()
    kill_some(job, draw)


def kill_while_writing(words, run_dir, ranks, draw):
    """The same while a checkpoint is being written; begins again where the checkpoint was faster than the kill."""
    step = draw.randint(1, 10)
    for _ in range(20):
        shutil.rmtree(run_dir, ignore_errors=True)
        job = Running("train", *words, ranks=ranks)
        job.until(lambda: trained(run_dir, step - 1) and any((run_dir / "checkpoints").glob("step-*.tmp")))
        kill_some(job, draw)
        if any((run_dir / "checkpoints").glob("step-*.tmp")):
            return
    pytest.fail("no kill came while a checkpoint was being written")


def trained(run_dir, count):
    log = run_dir / "metrics.jsonl"
    return log.exists() and sum('"loss"' in line for line in log.read_text().splitlines()) >= count


def kill_some(job, draw):
    pids = job.ranks()
    job.kill(pids if draw.random() < 0.5 else [draw.choice(pids)])
    job.wait()


@pytest.mark.parametrize("moment", range(KILLS))
@pytest.mark.parametrize("ranks,tensor", LAYOUTS)
def test_killed_run_ends_with_the_same_bits(inputs, undisturbed, tmp_path, ranks, tensor, moment):
    expected = undisturbed(ranks, tensor)
    run_dir = tmp_path / "run"
    words = [*command_of(inputs, run_dir, tensor), "--background-checkpoints", "on" if (moment + ranks // 2) % 2 == 0 else "off"]
    kill = kill_while_writing if moment % 3 == 0 else kill_while_training
    kill(words, run_dir, ranks, random.Random(f"{ranks}/{tensor}/{moment}"))
    assert not (run_dir / "final").exists()
    run("train", *words, ranks=ranks)
    assert_same(run_dir, expected)


def test_another_layout_goes_on_within_rounding(inputs, undisturbed, tmp_path):
    run_dir = tmp_path / "run"
    weights, rows, _ = undisturbed(2, 2)
    train_to(4, *command_of(inputs, run_dir, 2), ranks=2)
    run("train", *command_of(inputs, run_dir, 1), ranks=3)
    start = checkpoints.tensors(inputs["model"])
    assert checkpoints.update_distance(start, checkpoints.tensors(run_dir / "final"), weights) < 1e-3
    for mine, theirs in zip(rows_of(run_dir), rows, strict=True):
        assert mine.keys() == theirs.keys()
        if "loss" in mine:
            assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)


@pytest.mark.parametrize("ranks,tensor", [(1, 1), (2, 2)])
def test_max_seconds_stops_with_a_checkpoint_and_goes_on(inputs, undisturbed, tmp_path, ranks, tensor):
    run_dir = tmp_path / "run"
    words = command_of(inputs, run_dir, tensor)
    for step in (1, 2, 3):
        done = train_to(step, *words, ranks=ranks)
        assert f"stopped after step {step} of 12 by --max-seconds" in done.stderr
        assert json.loads((run_dir / "status.json").read_text())["state"] == "stopped"
    run("train", *words, ranks=ranks)
    assert_same(run_dir, undisturbed(ranks, tensor))


@pytest.mark.parametrize("number,to",
                         [(signal.SIGUSR1, "launcher"), (signal.SIGTERM, "ranks"), (signal.SIGTERM, "one rank")])
def test_signal_stops_all_ranks_after_the_step(inputs, undisturbed, tmp_path, number, to):
    run_dir = tmp_path / "run"
    words = command_of(inputs, run_dir, 2)
    job = Running("train", *words, ranks=4)
    log = run_dir / "metrics.jsonl"
    assert job.until(lambda: log.exists() and '"loss"' in log.read_text())
    pids = job.ranks()
    assert len(pids) == 4
    job.kill([job.process.pid] if to == "launcher" else pids if to == "ranks" else pids[2:3], number)
    code, text = job.wait()
    assert code == 85, text
    assert "stopped after step" in text
    step = metrics(run_dir)[-1]["step"]
    assert (run_dir / "checkpoints/latest").resolve().name == f"step-{step:08d}"
    run("train", *words, ranks=4)
    assert_same(run_dir, undisturbed(4, 2))


def catches(pid, number):
    """Whether the process has a handler for the signal."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"SigCgt:\s*(\w+)", text)[1], 16) >> (number - 1) & 1 == 1


def test_signal_stops_all_ranks_as_soon_as_they_have_their_handlers(inputs, undisturbed, tmp_path):
    run_dir = tmp_path / "run"
    words = command_of(inputs, run_dir, 2)
    job = Running("train", *words, ranks=4)
    assert job.until(lambda: len(job.ranks()) == 4 and all(catches(pid, signal.SIGUSR1) for pid in job.ranks()))
    job.kill([job.process.pid], signal.SIGUSR1)
    code, text = job.wait()
    assert code == 85 and "by SIGUSR1" in text, text
    run("train", *words, ranks=4)
    assert_same(run_dir, undisturbed(4, 2))


def test_second_start_of_a_finished_run_says_so(inputs, undisturbed):
    _, _, run_dir = undisturbed(1, 1)
    before = {path: path.stat().st_mtime_ns for path in (run_dir / "final").iterdir()}
    done = run("train", *command_of(inputs, run_dir, 1))
    assert f"this run is finished; its model is in {run_dir}/final" in done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (run_dir / "final").iterdir()}


@pytest.mark.parametrize("attempt", range(20 if LONG else 3))
def test_of_two_jobs_on_one_folder_one_is_refused(inputs, undisturbed, tmp_path, attempt):
    run_dir = tmp_path / "run"
    words = command_of(inputs, run_dir, 1)
    jobs = [Running("train", *words), Running("train", *words)]
    results = sorted((*job.wait(), job.process.pid) for job in jobs)
    assert [code for code, _, _ in results] == [0, 1], results
    assert re.fullmatch(rf"refrain-train: another job is at work here: process {results[0][2]} on \S+, since \S+ "
                        rf"\[{run_dir}/lock\] \(wait until it ends, or stop it\)\n", results[1][1]), results
    assert_same(run_dir, undisturbed(1, 1))


def test_other_options_are_named(inputs, tmp_path):
    run_dir = tmp_path / "run"
    run("train", *command_of(inputs, run_dir, 1), "--max-seconds", 0.001, exit_code=85)
    words = command_of(inputs, run_dir, 1)
    words[words.index("--beta") + 1] = 0.2
    fails("train", *words, "--max-grad-norm", 2, exit_code=2,
          line=f"the run was started with other options: max-grad-norm 1.0 -> 2.0, beta 0.1 -> 0.2 "
               f"[{run_dir}/run.json] (give the same options to go on, or another --run-dir for a new run)")


def test_resume_never_refuses_a_folder_with_a_run(inputs, tmp_path):
    run_dir = tmp_path / "run"
    words = command_of(inputs, run_dir, 1)
    run("train", *words, "--max-seconds", 0.001, exit_code=85)
    fails("train", *words, "--resume", "never", exit_code=2,
          line=f"the run folder holds a run [{run_dir}] (go on from it with --resume auto, or name another --run-dir)")


def test_a_named_checkpoint_is_gone_on_from(inputs, undisturbed, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train_to(2, *command_of(inputs, first, 1))
    run("train", *command_of(inputs, second, 1), "--resume", first / "checkpoints/latest")
    weights, rows, _ = undisturbed(1, 1)
    final = checkpoints.tensors(second / "final")
    assert all(np.array_equal(final[name], value) for name, value in weights.items())
    assert [row["step"] for row in metrics(second)] == list(range(3, 13))


def test_signal_in_the_reference_pass_keeps_what_there_is(inputs, undisturbed, tmp_path):
    run_dir = tmp_path / "run"
    words = command_of(inputs, run_dir, 1)
    job = Running("train", *words)
    assert job.until(lambda: (run_dir / ".heartbeat").exists())  # behind the signal handlers, before the model is there
    job.kill(job.ranks(), signal.SIGUSR1)
    code, text = job.wait()
    assert code == 85 and "stopped in the reference pass, after batch 1 of 6, by SIGUSR1" in text, text
    assert (run_dir / "reference.h5").exists()
    run("train", *words)
    assert_same(run_dir, undisturbed(1, 1))
