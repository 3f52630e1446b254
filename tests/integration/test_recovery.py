"""What a run's folder survives: starts that are refused, checkpoints that cannot be read, a kill at any moment."""

import json
import shutil

import numpy as np
import pytest

import checkpoints
from refrain import fails, metrics, run
from small_runs import options, train_to, write_model, write_pairs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A finished run, and one that stopped at step 4 with the checkpoints of steps 2 and 4."""
    folder = tmp_path_factory.mktemp("recovery")
    model, pairs = write_model(folder / "model"), write_pairs(folder / "pairs.h5", 24)
    words = [*options(model, pairs, folder / "finished", steps=6), "--checkpoint-every", 2, "--keep-checkpoints", 2]
    run("train", *words)
    train_to(4, *words_with(words, folder / "stopped"))
    return {"words": words, "finished": folder / "finished", "stopped": folder / "stopped"}


def words_with(words, run_dir):
    words = list(words)
    words[words.index("--run-dir") + 1] = run_dir
    return words


def step_of(run_dir):
    return json.loads((run_dir / "status.json").read_text())["step"]


def state_of(run_dir):
    return json.loads((run_dir / "status.json").read_text())["state"]


def copied(inputs, which, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(inputs[which], run_dir, symlinks=True)
    return run_dir, words_with(inputs["words"], run_dir)


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def assert_ends_as_undisturbed(inputs, run_dir, words):
    run("train", *words)
    expected, found = checkpoints.tensors(inputs["finished"] / "final"), checkpoints.tensors(run_dir / "final")
    assert all(np.array_equal(found[name], value) for name, value in expected.items())
    assert [row["step"] for row in metrics(run_dir)] == list(range(1, 7))
    assert state_of(run_dir) == "finished"
    run("convert", "verify", run_dir)


def damage(folder):
    manifest = folder / "manifest.json"
    text = bytearray(manifest.read_bytes())
    text[40] ^= 1
    manifest.write_bytes(text)


@pytest.mark.parametrize("which", ["finished", "stopped"])
@pytest.mark.parametrize("extra", [["--max-grad-norm", 2], ["--resume", "never"]])
def test_a_refused_start_changes_nothing(inputs, tmp_path, which, extra):
    run_dir, words = copied(inputs, which, tmp_path)
    before = content(run_dir)
    run("train", *words, *extra, exit_code=2)
    assert content(run_dir) == before
    run("convert", "verify", run_dir)


def test_a_stop_in_the_reference_pass_leaves_a_folder_that_verifies(inputs, tmp_path):
    run_dir = tmp_path / "run"
    words = words_with(inputs["words"], run_dir)
    for batch in (1, 2):
        done = run("train", *words, "--max-seconds", 0.001, exit_code=85)
        assert f"stopped in the reference pass, after batch {batch} of 3, by --max-seconds" in done.stderr
        status = json.loads((run_dir / "status.json").read_text())
        assert (status["state"], status["step"], status["reference_batches"]) == ("stopped", 0, batch)
        run("convert", "verify", run_dir)
    assert_ends_as_undisturbed(inputs, run_dir, words)


def test_a_lost_reference_is_made_again_and_the_step_stays_known(inputs, tmp_path):
    run_dir, words = copied(inputs, "stopped", tmp_path)
    (run_dir / "reference.h5").unlink()
    run("train", *words, "--max-seconds", 0.001, exit_code=85)
    status = json.loads((run_dir / "status.json").read_text())
    assert (status["state"], status["step"], status["reference_batches"]) == ("stopped", 4, 1)
    run("convert", "verify", run_dir)
    assert_ends_as_undisturbed(inputs, run_dir, words)


def test_a_damaged_checkpoint_is_kept_and_the_one_before_gone_on_from(inputs, tmp_path):
    run_dir, words = copied(inputs, "stopped", tmp_path)
    newest = run_dir / "checkpoints/step-00000004"
    damage(newest)
    done = train_to(3, *words)
    assert "passing over step-00000004: " in done.stderr
    assert "step-00000004 is kept as step-00000004.damaged" in done.stderr
    assert (run_dir / "checkpoints/step-00000004.damaged/manifest.json").exists()
    assert_ends_as_undisturbed(inputs, run_dir, words)


def test_where_no_checkpoint_can_be_read_nothing_is_removed(inputs, tmp_path):
    run_dir, words = copied(inputs, "stopped", tmp_path)
    steps = sorted((run_dir / "checkpoints").glob("step-*"))
    assert len(steps) == 2
    for folder in steps:
        damage(folder)
    rows = (run_dir / "metrics.jsonl").read_bytes()
    done = run("train", *words, exit_code=1)
    assert done.stderr.splitlines()[-1] == (
        "refrain-train: none of the run's checkpoints can be read (each is named above) "
        f"[{run_dir}/checkpoints] (mend what hinders it, or remove the folder to begin the run again)")
    assert sorted((run_dir / "checkpoints").glob("step-*")) == steps
    assert (run_dir / "metrics.jsonl").read_bytes() == rows
    assert state_of(run_dir) == "failed" and step_of(run_dir) == 4


def test_a_damaged_final_model_is_told_at_the_start(inputs, tmp_path):
    run_dir, words = copied(inputs, "finished", tmp_path)
    damage(run_dir / "final")
    before = content(run_dir)
    done = run("train", *words, exit_code=1)
    assert done.stderr.splitlines()[-1] == (
        "refrain-train: the run is finished, but its model cannot be read (why is said above) "
        f"[{run_dir}/final] (restore the folder from a copy, or remove it to train again)")
    assert content(run_dir) == before


def test_a_damaged_final_model_is_made_again_from_a_checkpoint_that_is_left(inputs, tmp_path):
    """As a kill between the final model's name and the removal of the checkpoints leaves it."""
    run_dir, words = copied(inputs, "stopped", tmp_path)
    shutil.copytree(inputs["finished"] / "final", run_dir / "final")
    damage(run_dir / "final")
    assert_ends_as_undisturbed(inputs, run_dir, words)
    assert (run_dir / "final.damaged").exists()


def test_a_kill_behind_the_final_model_is_made_good(inputs, tmp_path):
    run_dir, words = copied(inputs, "finished", tmp_path)
    shutil.copytree(inputs["stopped"] / "checkpoints/step-00000004", run_dir / "checkpoints/step-00000004")
    (run_dir / "checkpoints/latest").unlink()
    (run_dir / "status.json").write_bytes((inputs["stopped"] / "status.json").read_bytes())
    (run_dir / "metrics.jsonl").write_bytes((inputs["stopped"] / "metrics.jsonl").read_bytes())
    done = run("train", *words)
    assert "this run is finished" in done.stderr
    assert state_of(run_dir) == "finished" and step_of(run_dir) == 6
    assert (run_dir / "checkpoints/latest").resolve() == run_dir / "final"
    assert not list((run_dir / "checkpoints").glob("step-*"))
    run("convert", "verify", run_dir)


def test_an_existing_run_is_named_where_another_was_wanted(inputs, tmp_path):
    run_dir, words = copied(inputs, "finished", tmp_path)
    fails("train", *words, "--resume", "never", exit_code=2,
          line=f"the run folder holds a run [{run_dir}] (go on from it with --resume auto, or name another --run-dir)")


def test_what_was_removed_by_hand_is_told(inputs, tmp_path):
    run_dir, words = copied(inputs, "stopped", tmp_path)
    (run_dir / "metrics.jsonl").unlink()
    done = train_to(5, *words)
    assert ("metrics.jsonl ends with step 0, and the run goes on from step 4: the steps between have no rows"
            in done.stderr)
    assert [row["step"] for row in metrics(run_dir)] == [5]
    shutil.rmtree(run_dir / "checkpoints")
    done = train_to(1, *words)
    assert "the run had done 5 steps and has no checkpoint: it begins again" in done.stderr
    assert_ends_as_undisturbed(inputs, run_dir, words)
