"""refrain-train --plan, the layout that a run chooses by itself, and the bytes that both speak of."""

import json
import time

import pytest

from refrain import LONG, fails, metrics, run
from small_runs import options, train_to, write_model, write_pairs

LLAMA_70B = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256, "hidden_size": 8192,
             "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
             "head_dim": 128, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "max_position_embeddings": 131072,
             "tie_word_embeddings": False, "torch_dtype": "bfloat16"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    large = folder / "large"
    large.mkdir()
    (large / "config.json").write_text(json.dumps(LLAMA_70B))
    return {"folder": folder, "large": large, "model": write_model(folder / "model"),
            "pairs": write_pairs(folder / "pairs.h5", 44)}


def plan(model, *more, tmp_path):
    out = tmp_path / "plan.json"
    done = run("train", "--plan", "--init", model, "--plan-out", out, *more)
    return done.stdout, json.loads(out.read_text())


def test_70b_is_planned_from_its_sizes_within_seconds(inputs, tmp_path):
    begin = time.monotonic()
    text, numbers = plan(inputs["large"], "--nodes", 8, "--gpus-per-node", 4, "--machine", "H100", tmp_path=tmp_path)
    assert time.monotonic() - begin < 60
    assert numbers["fits"] and numbers["layout"]["tensor_parallel"] == 4 and numbers["layout"]["data_parallel"] == 8
    assert numbers["layout"]["zero"] >= 2
    assert numbers["memory"]["all"] < 76e9
    assert numbers["checkpoint_bytes"] == 12 * 70_553_706_496 and numbers["final_bytes"] == 2 * 70_553_706_496
    for part in ("layouts fit", "chosen: tensor 4 x data 8", "kept activations", "logits chunk and head",
                 "parameters, gathered", "gradients, reduced", "activations, exchanged", "pairs a second",
                 "time to finish", "a checkpoint: 846.6 GB; highest use of disk: 1834.4 GB", "34,668 pairs (assumed: "):
        assert part in text, text
    assert f"--zero {numbers['layout']['zero']} " in text.splitlines()[-1]
    assert text.splitlines()[-1].startswith("REFRAIN_TENSOR_PARALLEL=4 ")
    assert "sbatch --nodes=8 --ntasks-per-node=4 " in text.splitlines()[-1]


def test_where_nothing_fits_the_plan_says_what_would(inputs, tmp_path):
    text, numbers = plan(inputs["large"], "--nodes", 1, "--machine", "A100-64", tmp_path=tmp_path)
    assert not numbers["fits"] and "no layout fits" in text
    assert any("nodes like these" in line for line in numbers["would_fit"])
    assert any("LoRA" in line for line in numbers["would_fit"])


EVERYDAY = [
    (1, []), (2, ["--tensor-parallel", 2]), (2, ["--zero", 1, "--dtype", "bf16"]),
    (4, ["--tensor-parallel", 2, "--zero", 3, "--recompute", "block"]),
    (4, ["--tensor-parallel", 2, "--zero", 3, "--lora-rank", 4]),
]
ALL = EVERYDAY + [
    (2, ["--zero", 0]), (2, ["--zero", 2]), (2, ["--zero", 3, "--recompute", "block"]),
    (4, ["--tensor-parallel", 2, "--zero", 3, "--recompute", "selective"]),
    (4, ["--tensor-parallel", 2, "--zero", 1, "--sequence-parallel", "off", "--recompute", "block"]),
    (2, ["--tensor-parallel", 2, "--lora-rank", 4, "--lora-targets", "q_proj,down_proj"]),
    (2, ["--share-prompt", "off"]), (4, ["--tensor-parallel", 4, "--dtype", "bf16"]),
    (4, ["--zero", 2, "--dtype", "bf16"]),
]


@pytest.mark.parametrize("ranks,more", ALL if LONG else EVERYDAY)
def test_bytes_that_the_plan_says_are_those_that_a_run_counts(inputs, tmp_path, ranks, more):
    words = options(inputs["model"], inputs["pairs"], tmp_path / "run", steps=7)
    run("train", *words, *more, ranks=ranks)
    counted = [{kind: row[f"sent_bytes/{kind}"] for kind in ("parameters", "gradients", "activations")}
               for row in metrics(tmp_path / "run")]
    _, numbers = plan(*words[3:4], *words[:2], *words[4:], *more, "--gpus-per-node", ranks, "--machine", "CPU",
                      tmp_path=tmp_path)
    assert numbers["sent_bytes_by_step"] == counted
    assert (sum(counted[0].values()) > 0) == (ranks > 1)


def layout_of(run_dir, start=-1):
    return json.loads((run_dir / "run.json").read_text())["starts"][start]["provenance"]["layout"]


def test_a_small_model_runs_in_the_simplest_layout(inputs, tmp_path):
    words = options(inputs["model"], inputs["pairs"], tmp_path / "run", steps=1)
    done = run("train", *words, ranks=2)
    assert "2 ranks (tensor 1 x data 2, zero 0, recompute none)" in done.stderr
    assert layout_of(tmp_path / "run") == {"tensor_parallel": 1, "data_parallel": 2, "zero": 0, "recompute": "none",
                                           "sequence_parallel": False, "threads": 1, "device": "cpu"}


def test_a_resumed_run_keeps_its_layout(inputs, tmp_path):
    run_dir = tmp_path / "run"
    words = options(inputs["model"], inputs["pairs"], run_dir, steps=3)
    train_to(1, *words, "--tensor-parallel", 2, "--zero", 2, "--recompute", "block", ranks=4)
    run("train", *words, ranks=4)
    first = layout_of(run_dir, 0)
    assert first == {"tensor_parallel": 2, "data_parallel": 2, "zero": 2, "recompute": "block",
                     "sequence_parallel": True, "threads": 1, "device": "cpu"}
    assert layout_of(run_dir) == first


def test_a_run_that_goes_on_from_a_checkpoint_keeps_its_layout(inputs, tmp_path):
    words = options(inputs["model"], inputs["pairs"], tmp_path / "first", steps=3)
    train_to(1, *words, "--tensor-parallel", 2, "--zero", 1, "--recompute", "selective", ranks=4)
    words[words.index("--run-dir") + 1] = tmp_path / "second"
    run("train", *words, "--resume", tmp_path / "first/checkpoints/latest", ranks=4)
    assert layout_of(tmp_path / "second") == layout_of(tmp_path / "first")


def test_what_is_given_wins_over_the_layout_so_far(inputs, tmp_path):
    run_dir = tmp_path / "run"
    words = options(inputs["model"], inputs["pairs"], run_dir, steps=3)
    train_to(1, *words, "--zero", 2, ranks=2)
    run("train", *words, "--zero", 1, ranks=2)
    assert (layout_of(run_dir, 0)["zero"], layout_of(run_dir)["zero"]) == (2, 1)


def test_too_little_memory_is_said_before_the_model_is_made(inputs, tmp_path):
    # Sizes of 70B with the small model's vocabulary, so that the pairs are its own; no weights are needed to refuse.
    folder = tmp_path / "large"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**LLAMA_70B, "vocab_size": 259}))
    done = run("train", *options(folder, inputs["pairs"], tmp_path / "run"), exit_code=1)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("refrain-train: a rank would take about ") and " are free for each (" in line
    assert "tensor 1 x data 1, zero 0, recompute " in line and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words,line", [
    (["--machine", "Z80"], "--machine Z80 is not known"),
    (["--tensor-parallel", 3], "--tensor-parallel 3 does not divide 4 ranks (with 4 ranks, tensor x data parallel can "
                               "be 1 x 4, 2 x 2, 4 x 1)"),
    (["--data-parallel", 3], "--data-parallel 3 does not divide 4 ranks (give a number that does)"),
    (["--tensor-parallel", 2, "--data-parallel", 4],
     "--tensor-parallel 2 x --data-parallel 4 needs 8 ranks, here run 4 (start 8 ranks, or with 4 ranks tensor x data "
     "parallel can be 1 x 4, 2 x 2, 4 x 1)"),
])
def test_plans_that_cannot_be(inputs, words, line):
    done = run("train", "--plan", "--init", inputs["model"], *words, exit_code=2)
    assert done.stderr.startswith(f"refrain-train: {line}") and len(done.stderr.splitlines()) == 1


def test_options_of_the_plan_belong_to_it(inputs, tmp_path):
    line = ("--nodes, --gpus-per-node, --machine, --plan-pairs and --plan-out belong to --plan (add --plan, or leave "
            "them out)")
    fails("train", *options(inputs["model"], inputs["pairs"], tmp_path / "run"), "--nodes", 2, line=line, exit_code=2)
    fails("train", "--plan", "--init", inputs["model"], "--pairs", inputs["pairs"], "--plan-pairs", 9, exit_code=2,
          line="--plan-pairs and --pairs contradict each other (give one of them)")
    fails("train", "--init", inputs["model"], exit_code=2,
          line="neither --pairs nor --plan is given (add --pairs FILE.h5: preference pairs, made by refrain-shard; or --plan)")
