"""--share-prompt changes nothing but the work: the same metrics and weights."""

import json

import pytest

import checkpoints
from refrain import NOT_THE_RESULT, data, metrics, run, stories_with_template
from shard_files import read_pairs
from small_runs import options, write_model, write_pairs


def both_ways(command_for, ranks=1):
    """Runs with and without sharing, whose metrics are compared: run folder and stderr of each.
    `command_for`: the options for a run folder of this name."""
    folders = {}
    for share in ("on", "off"):
        words = command_for(f"share-{share}")
        run_dir = words[words.index("--run-dir") + 1]
        folders[share] = run_dir, run("train", *words, "--share-prompt", share, ranks=ranks).stderr
    for kind in ("", "eval_"):
        shared, apart = (metrics(folders[share][0], prefix=kind) for share in ("on", "off"))
        assert len(shared) == len(apart)
        for mine, theirs in zip(shared, apart, strict=True):
            assert list(mine) == list(theirs)
            for key in set(mine) - NOT_THE_RESULT:
                assert mine[key] == pytest.approx(theirs[key], rel=1e-5, abs=1e-5), (mine["step"], key)
    assert [row["num_tokens"] for row in metrics(folders["on"][0])] == [
        row["num_tokens"] for row in metrics(folders["off"][0])]
    return folders


def tokens_a_pass(said):
    return int(said.split(" tokens a pass")[0].split()[-1].replace(",", ""))


@pytest.mark.parametrize("ranks,tensor,kv_heads", [(1, 1, 2), (2, 2, 2), (2, 1, 4), (4, 4, 4)])
def test_metrics_and_weights_are_the_same(tmp_path, ranks, tensor, kv_heads):
    model = write_model(tmp_path / "model", num_key_value_heads=kv_heads, initializer_range=0.05)
    pairs, held_out = write_pairs(tmp_path / "pairs.h5", 30), write_pairs(tmp_path / "eval.h5", 9, seed=11)
    folders = both_ways(lambda name: [*options(model, pairs, tmp_path / name, steps=6, rate=1e-4), "--tensor-parallel",
                                      tensor, "--eval-pairs", held_out], ranks=ranks)
    assert tokens_a_pass(folders["on"][1]) < 0.8 * tokens_a_pass(folders["off"][1])
    start = checkpoints.tensors(model)
    shared, apart = (checkpoints.tensors(folders[share][0] / "final") for share in ("on", "off"))
    assert checkpoints.update_distance(start, shared, apart) < 2e-3


def test_cut_answers_and_empty_system_turns(tmp_path):
    """Every other prompt begins with an empty system turn, and --max-length cuts most answers."""
    model = stories_with_template(tmp_path / "model")
    rows = []
    for line in data("preferences/dpo_en_demo.benign.trl.jsonl").read_text().splitlines()[:16]:
        row = json.loads(line)
        row["prompt"] = [turn for turn in row["prompt"] if turn["role"] != "system"]
        if len(rows) % 2 == 0:
            row["prompt"].insert(0, {"role": "system", "content": ""})
        rows.append(row)
    source = tmp_path / "pairs.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shard = tmp_path / "pairs.h5"
    run("shard", "--pairs", source, "--tokenizer", model, "--configuration", "all", "--max-length", 256, "--out", shard)
    lengths = read_pairs(shard)
    assert sum(len(pair["prompt"]) + len(pair["chosen"]) == 256 for pair in lengths) >= 4
    both_ways(lambda name: ["--pairs", shard, "--init", model, "--run-dir", tmp_path / name, "--max-steps", 3,
                            "--global-batch-pairs", 8, "--micro-batch-tokens", 500, "--learning-rate", 1e-4])
