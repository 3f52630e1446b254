"""Runs whose data ranks share optimizer, gradients and parameters: the same bits as plain data parallelism, checkpoints
that go on under any other stage and layout, and the order of gathering and computing."""

import json

import numpy as np
import pytest

import checkpoints
from refrain import LONG, NOT_THE_RESULT, fails, metrics, run
from small_runs import options, train_to, write_model, write_pairs

LAYOUTS = [(4, 2), (4, 1), (3, 1)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zero")
    # No size divides by 3 or 4, but for what two tensor ranks must divide.
    sizes = {"hidden_size": 30, "intermediate_size": 50, "head_dim": 6, "num_attention_heads": 6,
             "num_key_value_heads": 2, "num_hidden_layers": 3}
    return {"folder": folder, "model": write_model(folder / "model", **sizes),
            "pairs": write_pairs(folder / "pairs.h5", 44)}


def command_of(inputs, run_dir, tensor, zero, *more):
    return [*options(inputs["model"], inputs["pairs"], run_dir), "--tensor-parallel", tensor, "--zero", zero,
            "--checkpoint-every", 2, *more]


@pytest.fixture(scope="module")
def plain(inputs):
    """Final weights and metrics of the run without sharing, by layout, made when first asked for."""
    known = {}

    def get(ranks, tensor):
        if (ranks, tensor) not in known:
            run_dir = inputs["folder"] / f"plain-{ranks}-{tensor}"
            run("train", *command_of(inputs, run_dir, tensor, 0), ranks=ranks)
            known[ranks, tensor] = checkpoints.tensors(run_dir / "final"), rows_of(run_dir)
        return known[ranks, tensor]

    return get


def rows_of(run_dir):
    return [{key: value for key, value in row.items() if key not in NOT_THE_RESULT} for row in metrics(run_dir)]


def assert_same(run_dir, expected):
    weights, rows = expected
    final = checkpoints.tensors(run_dir / "final")
    for name, value in weights.items():
        assert np.array_equal(final[name].view(np.uint32), value.view(np.uint32)), name
    assert rows_of(run_dir) == rows


STAGES = [(1, []), (2, ["--recompute", "selective"]), (3, ["--recompute", "block"])]
CASES = [(*layout, *stage) for layout in LAYOUTS for stage in STAGES]


@pytest.mark.parametrize("ranks,tensor,zero,more", CASES if LONG else [CASES[2], CASES[4], CASES[6]])
def test_every_stage_ends_where_plain_data_parallelism_ends(inputs, plain, tmp_path, ranks, tensor, zero, more):
    run("train", *command_of(inputs, tmp_path / "run", tensor, zero, *more), ranks=ranks)
    assert_same(tmp_path / "run", plain(ranks, tensor))
    run("convert", "verify", tmp_path / "run/final")


@pytest.mark.parametrize("ranks,tensor", LAYOUTS if LONG else LAYOUTS[:1])
def test_checkpoints_go_on_under_every_other_stage(inputs, plain, tmp_path, ranks, tensor):
    run_dir = tmp_path / "run"
    for step, zero in enumerate((3, 1, 2, 0, 3), start=1):
        train_to(step, *command_of(inputs, run_dir, tensor, zero), ranks=ranks)
        run("convert", "verify", run_dir / "checkpoints/latest")
    run("train", *command_of(inputs, run_dir, tensor, 1), ranks=ranks)
    assert_same(run_dir, plain(ranks, tensor))


def test_checkpoints_go_on_in_another_layout_within_rounding(inputs, plain, tmp_path):
    run_dir = tmp_path / "run"
    train_to(1, *command_of(inputs, run_dir, 2, 3), ranks=4)
    train_to(2, *command_of(inputs, run_dir, 1, 2), ranks=3)
    run("train", *command_of(inputs, run_dir, 1, 0))
    weights, rows = plain(4, 2)
    start = checkpoints.tensors(inputs["model"])
    assert checkpoints.update_distance(start, checkpoints.tensors(run_dir / "final"), weights) < 1e-3
    for mine, theirs in zip(rows_of(run_dir), rows, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)


def test_the_trace_shows_each_gather_before_the_block_that_hides_it(inputs, tmp_path):
    trace = tmp_path / "trace.json"
    done = run("train", *command_of(inputs, tmp_path / "run", 1, 3, "--profile", trace, "--profile-steps", 1), ranks=2)
    assert "where the time of 1 steps went" in done.stderr
    events = [event for event in json.loads(trace.read_text())["traceEvents"] if event["ph"] == "X"]
    for rank in (0, 1):
        mine = sorted((event for event in events if event["pid"] == rank), key=lambda event: event["ts"])
        names = [(event["cat"], event["name"]) for event in mine]
        first = names.index(("blocks, sums and copies", "forward of block 0"))
        # The next block's weights are asked for before this block's work begins.
        before = [name for category, name in names[:first] if category == "gather parameters" and name.startswith("unit")]
        assert before[-3:] == ["unit 0", "unit 1", "unit 2"]
        back = names.index(("blocks, sums and copies", "backward of block 2"))
        asked = [name for category, name in names[:back] if category == "gather parameters" and name.startswith("unit")]
        assert asked[-1] == "unit 2"
        # Parts add up: the step is the outermost span, and what lies in it does not exceed it.
        steps = [event for event in mine if event["name"].startswith("step ")]
        assert len(steps) == 1
        inside = [e for e in mine if steps[0]["ts"] <= e["ts"] and e["ts"] + e["dur"] <= steps[0]["ts"] + steps[0]["dur"]]
        assert len(inside) == len(mine)
    shares = [float(line.split()[-2]) for line in done.stderr.splitlines() if line.endswith(" %")]
    assert sum(shares[:-1]) == pytest.approx(100, abs=0.6) and shares[-1] == 100


def test_gradients_in_the_weights_type_need_one_micro_batch_a_step(inputs, tmp_path):
    words = command_of(inputs, tmp_path / "run", 1, 2, "--dtype", "bf16", "--grad-dtype", "weights")
    fails("train", *words, exit_code=2,
          line="--grad-dtype weights: a step has up to 2 micro-batches a rank, whose sum would lose bits in bf16 (raise "
               "--micro-batch-tokens or the number of data-parallel ranks, or leave --grad-dtype out)")
    words[words.index("--micro-batch-tokens") + 1] = 100000
    run("train", *words, ranks=2)
    assert metrics(tmp_path / "run")[-1]["loss"] < 0.69


@pytest.mark.parametrize("words,line", [
    (["--zero", 4], "--zero: 4 is out of range (give a whole number from 0 to 3)"),
])
def test_layouts_that_cannot_be(inputs, tmp_path, words, line):
    fails("train", *options(inputs["model"], inputs["pairs"], tmp_path / "run"), *words, exit_code=2, line=line)
