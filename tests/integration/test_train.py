"""What a training run leaves behind, and what must not change its result."""

import json

import h5py
import numpy as np
import pytest

import checkpoints
from refrain import metrics, run
from shard_files import read_pairs
from small_runs import options, train_to, write_model, write_pairs

KEYS = ["step", "epoch", "loss", "learning_rate", "grad_norm", "rewards/chosen", "rewards/rejected",
        "rewards/accuracies", "rewards/margins", "logps/chosen", "logps/rejected", "logits/chosen", "logits/rejected",
        "entropy", "mean_token_accuracy", "num_tokens", "pairs_per_second", "tokens_per_second", "step_seconds",
        "peak_memory_bytes", "mfu", "sent_bytes/parameters", "sent_bytes/gradients", "sent_bytes/activations"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    model = write_model(folder / "model", hidden_size=64, head_dim=16, intermediate_size=128, initializer_range=0.05)
    return {"folder": folder, "model": model, "pairs": write_pairs(folder / "pairs.h5", 64),
            "eval": write_pairs(folder / "eval.h5", 20, seed=9, languages=("de", "en", "lt"))}


@pytest.fixture(scope="module")
def finished(inputs):
    run_dir = inputs["folder"] / "finished"
    done = run("train", *options(inputs["model"], inputs["pairs"], run_dir, steps=20, batch=16, rate=3e-4),
               "--eval-pairs", inputs["eval"], "--eval-every", 8)
    return run_dir, done.stderr


def test_header_says_what_will_run(finished):
    header = finished[1].splitlines()[0]
    for part in ("model: ", "parameters in fp32", "1 rank (tensor 1 x data 1, zero 0, recompute none)", "64 pairs", "20 steps of 16 pairs",
                 "tokens a pass", "of memory a rank", "on disk"):
        assert part in header, header


def test_metrics_have_the_keys_of_trl_and_ours(finished):
    rows = metrics(finished[0])
    assert [list(row) for row in rows] == [KEYS] * 20
    assert [row["step"] for row in rows] == list(range(1, 21))
    assert rows[0]["loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert rows[-1]["loss"] < 0.5 and rows[-1]["rewards/accuracies"] == 1
    tokens = [row["num_tokens"] for row in rows]
    assert tokens == sorted(tokens)


def test_metrics_h5_holds_the_same_columns(finished):
    lines = [json.loads(line) for line in (finished[0] / "metrics.jsonl").read_text().splitlines()]
    with h5py.File(finished[0] / "metrics.h5") as file:
        assert file["/metrics/step"][()].tolist() == [row["step"] for row in lines]
        for key in KEYS[1:] + ["eval_loss", "eval_rewards/accuracies"]:
            expected = np.array([row.get(key, np.nan) for row in lines], dtype=np.float64)
            np.testing.assert_array_equal(file["/metrics/" + key][()], expected)


def test_held_out_pairs_are_evaluated_before_between_and_after(finished):
    rows = metrics(finished[0], prefix="eval_")
    assert [row["step"] for row in rows] == [0, 8, 16, 20]
    assert rows[0]["eval_loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert rows[0]["eval_rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert rows[-1]["eval_loss"] < rows[1]["eval_loss"] < rows[0]["eval_loss"]
    record = json.loads((finished[0] / "eval.json").read_text())
    assert record["before"]["step"] == 0 and record["after"]["step"] == 20
    languages = record["after"]["languages"]
    assert {name: row["pairs"] for name, row in languages.items()} == {"de": 7, "en": 7, "lt": 6}
    mean = sum(row["pairs"] * row["margin"] for row in languages.values()) / 20
    assert mean == pytest.approx(rows[-1]["eval_rewards/margins"], rel=1e-9)
    assert record["after"]["all"]["logp_accuracy"] >= record["before"]["all"]["logp_accuracy"] + 0.2
    table = [line.split()[0] for line in finished[1].splitlines() if line.split()[1:2] in (["7"], ["6"], ["20"])]
    assert table == ["de", "en", "lt", "all"]


def answer_logps(checkpoint, pairs, folder):
    """transformers' log-probabilities of the answers, [pair, (chosen, rejected)], and numbers of their tokens."""
    import torch
    from transformers import AutoModelForCausalLM

    run("convert", "export", "--checkpoint", checkpoint, "--out", folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    logps, lengths = np.zeros((len(pairs), 2)), np.zeros((len(pairs), 2))
    for i, pair in enumerate(pairs):
        for side, name in enumerate(("chosen", "rejected")):
            answer, first = torch.tensor(pair[name]), len(pair["prompt"])
            with torch.no_grad():
                logits = model(torch.tensor([pair["prompt"] + pair[name]])).logits[0, first - 1:-1]
            logps[i, side] = logits.log_softmax(-1).gather(1, answer[:, None]).sum()
            lengths[i, side] = len(answer)
    return logps, lengths


def test_held_out_figures_are_those_of_transformers(inputs, finished, tmp_path):
    pairs = read_pairs(inputs["eval"])
    languages = np.array([pair["language"] for pair in pairs])
    record = json.loads((finished[0] / "eval.json").read_text())
    known = {when: answer_logps(checkpoint, pairs, tmp_path / when)
             for when, checkpoint in (("before", inputs["model"]), ("after", finished[0] / "final"))}
    for when, (logps, lengths) in known.items():
        reward = 0.1 * (logps - known["before"][0])
        margin = reward[:, 0] - reward[:, 1]
        logp_margin = logps[:, 0] / lengths[:, 0] - logps[:, 1] / lengths[:, 1]
        expected = {"loss": np.log1p(np.exp(-margin)), "accuracy": margin > 0, "margin": margin,
                    "logp_accuracy": logp_margin > 0, "logp_margin": logp_margin}
        for name, of in [*((name, languages == name) for name in set(languages)), ("all", languages != "")]:
            row = record[when]["all"] if name == "all" else record[when]["languages"][name]
            assert row["pairs"] == of.sum()
            for key, values in expected.items():
                assert row[key] == pytest.approx(values[of].mean(), abs=1e-5), (when, name, key)


def test_run_folder_is_complete_and_verifies(finished):
    run_dir = finished[0]
    assert sorted(path.name for path in run_dir.iterdir()) == ["checkpoints", "eval.json", "final", "metrics.h5",
                                                               "metrics.jsonl", "reference.h5", "run.json",
                                                               "status.json"]
    assert (run_dir / "checkpoints/latest").resolve() == (run_dir / "final").resolve()
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == ["latest"]
    record = json.loads((run_dir / "run.json").read_text())
    assert record["options"]["beta"] == 0.1 and len(record["starts"]) == 1
    run("convert", "verify", run_dir)


def run_with(inputs, run_dir, *more, ranks=1, **changes):
    settings = dict(steps=20, batch=16, rate=3e-4) | changes
    run("train", *options(inputs["model"], inputs["pairs"], run_dir, **settings), *more, ranks=ranks)
    return run_dir


def test_bf16_follows_fp32(inputs, finished, tmp_path):
    """Every step's loss within 2 %, in a run that learns."""
    low, full = metrics(run_with(inputs, tmp_path / "bf16", "--dtype", "bf16")), metrics(finished[0])
    for mine, theirs in zip(low, full, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=0.02), mine["step"]
    assert full[-1]["loss"] < 0.5 and low[-1]["loss"] < 0.5
    manifest = checkpoints.manifest(tmp_path / "bf16/final")
    assert {tensor["dtype"] for tensor in manifest["tensors"].values()} == {"fp32"}  # the model's own type


def rounded_to_bf16(values):
    bits = values.view(np.uint32)
    return (bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)


def test_bf16_keeps_updates_that_it_cannot_hold_in_fp32(inputs, tmp_path):
    """At this learning rate most weights move by less than half a step of bf16 in the whole run."""
    start = checkpoints.tensors(inputs["model"])
    full, low = (checkpoints.tensors(run_with(inputs, tmp_path / dtype, "--dtype", dtype, rate=3e-6) / "final")
                 for dtype in ("fp32", "bf16"))
    lost = [np.mean(rounded_to_bf16(low[name]) == rounded_to_bf16(value)) for name, value in start.items()]
    assert np.mean(lost) > 0.8
    assert checkpoints.update_distance(start, low, full) < 0.05


@pytest.mark.parametrize("tokens", [1, 100000])
def test_packing_does_not_change_the_result(inputs, finished, tmp_path, tokens):
    words = options(inputs["model"], inputs["pairs"], tmp_path / "run", steps=20, batch=16, rate=3e-4)
    words[words.index("--micro-batch-tokens") + 1] = tokens
    run("train", *words, "--logits-chunk-rows", 7)
    for mine, theirs in zip(metrics(tmp_path / "run"), metrics(finished[0]), strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-4)


def test_first_gradients_of_a_packed_batch_are_those_of_one_pair_at_a_time(inputs, tmp_path):
    moments = []
    for tokens in (1, 100000):
        words = options(inputs["model"], inputs["pairs"], tmp_path / f"run-{tokens}", batch=16)
        words[words.index("--micro-batch-tokens") + 1] = tokens
        train_to(1, *words)
        moments.append(checkpoints.tensors(tmp_path / f"run-{tokens}/checkpoints/latest", "/optimizer/exp_avg/"))
    for name, value in moments[0].items():
        assert np.linalg.norm(moments[1][name] - value) <= 1e-5 * np.linalg.norm(value), name


@pytest.mark.parametrize("ranks,tensor", [(3, 1), (4, 4), (4, 2)])
def test_layout_does_not_change_the_result(inputs, finished, tmp_path, ranks, tensor):
    """16 pairs a step do not divide by 3 ranks."""
    run_with(inputs, tmp_path / "run", "--tensor-parallel", tensor, ranks=ranks)
    start = checkpoints.tensors(inputs["model"])
    final = checkpoints.tensors(tmp_path / "run/final")
    assert checkpoints.update_distance(start, final, checkpoints.tensors(finished[0] / "final")) < 1e-3


def test_sft_teaches_the_chosen_answers_without_a_reference(inputs, tmp_path):
    run_dir = run_with(inputs, tmp_path / "sft", "--loss", "sft", "--eval-pairs", inputs["eval"], rate=3e-3)
    rows = metrics(run_dir)
    assert rows[-1]["loss"] < 0.95 * rows[0]["loss"]
    assert rows[0]["loss"] == pytest.approx(np.log(259), rel=0.05)
    assert "rewards/chosen" not in rows[0] and not (run_dir / "reference.h5").exists()
    assert json.loads((run_dir / "eval.json").read_text())["after"]["all"]["loss"] < rows[0]["loss"]


def test_logits_of_all_positions_are_never_in_memory(tmp_path):
    """At V = 128,256 the logits of this step's 2,300 scored positions alone would take 1.1 GiB."""
    model = write_model(tmp_path / "model", vocab_size=128256, hidden_size=16, head_dim=4, num_hidden_layers=1,
                        intermediate_size=16)
    pairs = write_pairs(tmp_path / "pairs.h5", 16, vocabulary=128256, longest=140)
    words = options(model, pairs, tmp_path / "run", steps=2, batch=16)
    words[words.index("--micro-batch-tokens") + 1] = 100000
    run("train", *words)
    lengths = 0
    with h5py.File(pairs) as file:
        lengths = int(file["/pair/chosen_length"][()].sum() + file["/pair/rejected_length"][()].sum())
    base = 5 * 2 * 128256 * 16 * 4 + (160 << 20)  # weights, gradients, moments, twice; libraries
    peak = metrics(tmp_path / "run")[-1]["peak_memory_bytes"]
    logits = lengths * 128256 * 4
    assert peak < base + logits / 3, (peak, base, logits)
