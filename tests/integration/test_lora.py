"""Adapters trained beside frozen weights: what a run leaves, the same bits in every ZeRO stage and after every stop,
and what is refused."""

import json
import re

import numpy as np
import pytest

import checkpoints
import models
from refrain import NOT_THE_RESULT, fails, metrics, run
from small_runs import options, train_to, write_model, write_pairs

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LORA = ["--lora-rank", 3, "--lora-alpha", 5]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    return {"folder": folder, "model": write_model(folder / "model"), "pairs": write_pairs(folder / "pairs.h5", 44)}


def command_of(inputs, run_dir, *more, adapter=LORA):
    return [*options(inputs["model"], inputs["pairs"], run_dir), "--checkpoint-every", 2, *adapter, *more]


def rows_of(run_dir):
    return [{key: value for key, value in row.items() if key not in NOT_THE_RESULT} for row in metrics(run_dir)]


@pytest.fixture(scope="module")
def undisturbed(inputs):
    """A run's folder by ranks and tensor degree, made when first asked for."""
    known = {}

    def get(ranks, tensor):
        if (ranks, tensor) not in known:
            known[ranks, tensor] = inputs["folder"] / f"plain-{ranks}-{tensor}"
            run("train", *command_of(inputs, known[ranks, tensor], "--tensor-parallel", tensor), ranks=ranks)
        return known[ranks, tensor]

    return get


def assert_same(run_dir, expected):
    final, wanted = (checkpoints.tensors(folder / "final") for folder in (run_dir, expected))
    assert final.keys() == wanted.keys()
    for name, value in wanted.items():
        assert np.array_equal(final[name].view(np.uint32), value.view(np.uint32)), name
    assert rows_of(run_dir) == rows_of(expected)


def test_a_run_leaves_an_adapter_alone(inputs, undisturbed):
    run_dir = undisturbed(1, 1)
    rows = metrics(run_dir)
    assert rows[0]["loss"] == pytest.approx(np.log(2), abs=1e-4) and rows[-1]["loss"] < 0.6
    final = checkpoints.tensors(run_dir / "final")
    hidden, inner = 32, 64
    shapes = {"q_proj": (hidden, hidden), "k_proj": (hidden, hidden), "v_proj": (hidden, hidden),
              "o_proj": (hidden, hidden), "gate_proj": (inner, hidden), "up_proj": (inner, hidden),
              "down_proj": (hidden, inner)}
    expected = {}
    for i in range(2):
        for target, (rows_, columns) in shapes.items():
            module = f"model.layers.{i}.{'self_attn' if shapes[target] == (hidden, hidden) else 'mlp'}.{target}"
            expected[f"{module}.lora_A.weight"] = (3, columns)
            expected[f"{module}.lora_B.weight"] = (rows_, 3)
    assert {name: value.shape for name, value in final.items()} == expected
    assert all(np.abs(value).max() > 0 for value in final.values())
    config = json.loads((run_dir / "final/adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"], config["target_modules"]) == ("LORA", 3, 5, TARGETS)
    assert config["base_model_name_or_path"] == str(inputs["model"])
    assert (run_dir / "final/config.json").exists()
    run("convert", "verify", run_dir)
    assert "LoRA adapter of rank 3, alpha 5, on q_proj" in run("convert", "inspect", run_dir / "final").stdout


@pytest.mark.parametrize("ranks,tensor,zero,more", [(4, 2, 1, []), (4, 2, 2, ["--recompute", "selective"]),
                                                    (4, 2, 3, ["--recompute", "block"]), (3, 1, 3, [])])
def test_every_stage_ends_where_plain_data_parallelism_ends(inputs, undisturbed, tmp_path, ranks, tensor, zero, more):
    run("train", *command_of(inputs, tmp_path / "run", "--tensor-parallel", tensor, "--zero", zero, *more), ranks=ranks)
    assert_same(tmp_path / "run", undisturbed(ranks, tensor))


def test_layouts_agree_within_rounding(undisturbed):
    one = undisturbed(1, 1)
    start = {name: np.zeros_like(value) for name, value in checkpoints.tensors(one / "final").items()}
    for ranks, tensor in [(4, 2), (3, 1)]:
        other = undisturbed(ranks, tensor)
        assert checkpoints.update_distance(start, checkpoints.tensors(other / "final"),
                                           checkpoints.tensors(one / "final")) < 1e-3
        for mine, theirs in zip(rows_of(other), rows_of(one), strict=True):
            assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
            assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)


@pytest.mark.parametrize("ranks,tensor,stages", [(1, 1, (0, 0)), (4, 2, (3, 1, 2))])
def test_a_stopped_run_goes_on_with_the_same_bits(inputs, undisturbed, tmp_path, ranks, tensor, stages):
    words = command_of(inputs, tmp_path / "run", "--tensor-parallel", tensor)
    for step, zero in enumerate(stages, start=1):
        train_to(step, *words, "--zero", zero, ranks=ranks)
    latest = tmp_path / "run/checkpoints/latest"
    assert checkpoints.tensors(latest, "/optimizer/master/").keys() == checkpoints.tensors(
        undisturbed(1, 1) / "final").keys()
    run("convert", "export", "--checkpoint", latest, "--out", tmp_path / "peft")
    run("train", *words, ranks=ranks)
    assert_same(tmp_path / "run", undisturbed(ranks, tensor))


def test_going_on_from_an_adapter(inputs, undisturbed, tmp_path):
    """The reference is the model with the adapter as it starts, and the adapter is not lost on resuming."""
    start = undisturbed(1, 1) / "final"
    words = command_of(inputs, tmp_path / "run", adapter=["--init-adapter", start])
    train_to(3, *words)
    run("train", *words)
    run("train", *command_of(inputs, tmp_path / "whole", adapter=["--init-adapter", start, "--lora-rank", 3]))
    assert_same(tmp_path / "run", tmp_path / "whole")
    assert metrics(tmp_path / "run")[0]["loss"] == pytest.approx(np.log(2), abs=1e-4)
    first = checkpoints.tensors(start)
    assert checkpoints.update_distance(first, checkpoints.tensors(tmp_path / "run/final"), first | {
        name: np.zeros_like(value) for name, value in first.items()}) < 2


def test_the_reference_cache_tells_adapters_apart(inputs, undisturbed, tmp_path):
    """A fresh adapter adds nothing to its model and finds the model's entries; one that changes it finds its own."""
    start = undisturbed(1, 1) / "final"
    found = {}
    for name, adapter in {"model": [], "fresh": LORA, "trained": ["--init-adapter", start],
                          "trained again": ["--init-adapter", start, "--beta", 0.3]}.items():
        words = command_of(inputs, tmp_path / name, "--reference-cache", tmp_path / "cache", adapter=adapter)
        if "--beta" in adapter:
            del words[words.index("--beta"):words.index("--beta") + 2]
        said = run("train", *words).stderr
        found[name] = int(re.search(r"reference log-probabilities: (\d+) of 44 pairs from the cache", said).group(1))
        assert metrics(tmp_path / name)[0]["loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert found == {"model": 0, "fresh": 44, "trained": 0, "trained again": 44}
    assert_same(tmp_path / "fresh", undisturbed(1, 1))


def test_merged_weights_are_the_formula(inputs, undisturbed, tmp_path):
    """W + alpha / rank B A in fp32; what has no adapter is the base's bytes; checkpoint and folder alike as base."""
    final = undisturbed(1, 1) / "final"
    run("convert", "export", "--checkpoint", inputs["model"], "--out", tmp_path / "base")
    for name, base in {"a": inputs["model"], "b": tmp_path / "base"}.items():
        run("convert", "export", "--checkpoint", final, "--out", tmp_path / name, "--merge", "--base", base)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    run("convert", "import", "--model", tmp_path / "a", "--out", tmp_path / "merged")
    merged, base, adapter = (checkpoints.tensors(folder) for folder in (tmp_path / "merged", inputs["model"], final))
    assert merged.keys() == base.keys()
    for name, value in merged.items():
        a, b = (adapter.get(name.replace(".weight", f".lora_{half}.weight")) for half in "AB")
        expected = base[name] if a is None else base[name] + 5 / 3 * b.astype(np.float64) @ a.astype(np.float64)
        assert np.abs(value - expected).max() <= (0 if a is None else 1e-5), name


ERRORS = {
    "unknown target": (["--lora-rank", 2, "--lora-targets", "q_proj", "query"],
                       "no matrix of the model's blocks that an adapter can have is called 'query' [--lora-targets] "
                       "(those there are: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj)"),
    "alpha of nothing": (["--lora-alpha", 2], "--lora-alpha belongs to an adapter, and none is trained (give "
                                              "--lora-rank or --init-adapter, or leave it out)"),
    "targets of nothing": (["--lora-targets", "q_proj"], "--lora-targets belongs to an adapter, and none is trained "
                                                         "(give --lora-rank or --init-adapter, or leave it out)"),
    "rslora of nothing": (["--lora-rslora", "on"], "--lora-rslora belongs to an adapter, and none is trained (give "
                                                   "--lora-rank or --init-adapter, or leave it out)"),
    "rank 0": (["--lora-rank", 0], "--lora-rank: 0 is out of range (give a whole number of at least 1)"),
    "another rank": (["--init-adapter", "{adapter}", "--lora-rank", 4],
                     "--lora-rank contradicts the adapter of --init-adapter, where it is 3 [{adapter}] (leave it out)"),
    "another alpha": (["--init-adapter", "{adapter}", "--lora-alpha", 4],
                      "--lora-alpha contradicts the adapter of --init-adapter, where it is 5 [{adapter}] (leave it "
                      "out)"),
    "other targets": (["--init-adapter", "{adapter}", "--lora-targets", "q_proj,v_proj"],
                      "--lora-targets contradicts the adapter of --init-adapter, where it is q_proj k_proj v_proj "
                      "o_proj gate_proj up_proj down_proj [{adapter}] (leave it out)"),
    "another scale": (["--init-adapter", "{adapter}", "--lora-rslora", "on"],
                      "--lora-rslora contradicts the adapter of --init-adapter, where it is off [{adapter}] (leave it "
                      "out)"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_options_that_cannot_be(inputs, undisturbed, tmp_path, name):
    words, line = ERRORS[name]
    adapter = str(undisturbed(1, 1) / "final")
    words = [str(word).replace("{adapter}", adapter) for word in words]
    fails("train", *command_of(inputs, tmp_path / "run", adapter=words), exit_code=2,
          line=line.replace("{adapter}", adapter))
    assert not (tmp_path / "run").exists()


def test_adapters_and_models_in_the_wrong_place(inputs, undisturbed, tmp_path):
    adapter = undisturbed(1, 1) / "final"
    words = command_of(inputs, tmp_path / "run", adapter=[])
    words[words.index("--init") + 1] = adapter
    fails("train", *words, exit_code=2, line=f"--init is an adapter [{adapter}] (name its model with --init, and the "
                                             "adapter with --init-adapter)")
    fails("train", *command_of(inputs, tmp_path / "run", adapter=["--init-adapter", inputs["model"]]),
          line=f"the folder holds no adapter (no adapter_config.json) [{inputs['model']}] (give an adapter's "
               "checkpoint or a folder that PEFT wrote)")
    wide = write_model(tmp_path / "wide", hidden_size=48)
    words = command_of(inputs, tmp_path / "run", adapter=["--init-adapter", adapter])
    words[words.index("--init") + 1] = wide
    fails("train", *words,
          line="shape is [3, 32], the model makes it [3, 48] "
               f"[{adapter}:model.layers.0.self_attn.q_proj.lora_A.weight] (give the model that the adapter was "
               "trained for)")
    fails("convert", "export", "--checkpoint", inputs["model"], "--out", tmp_path / "x", "--merge", "--base", wide,
          exit_code=2, line=f"--merge: the checkpoint holds no adapter (no adapter_config.json) [{inputs['model']}] "
                            "(give an adapter's checkpoint, or leave --merge and --base out)")
    fails("convert", "export", "--checkpoint", adapter, "--out", tmp_path / "x", "--merge", exit_code=2,
          line="--merge needs the adapter's model (name it with --base)")
    fails("convert", "export", "--checkpoint", adapter, "--out", tmp_path / "x", "--base", wide, exit_code=2,
          line="--base belongs to --merge (give both, or leave it out)")
    fails("convert", "export", "--checkpoint", adapter, "--out", tmp_path / "x", "--merge", "--base", adapter,
          exit_code=2, line=f"--base is an adapter [{adapter}] (name the model that the adapter was trained for)")
    fails("convert", "export", "--checkpoint", adapter, "--out", tmp_path / "x", "--merge", "--base", wide,
          line="shape is [3, 32], the model makes it [3, 48] "
               f"[{adapter}:model.layers.0.self_attn.q_proj.lora_A.weight] (give the model that the adapter was "
               "trained for)")


def test_an_adapter_that_cannot_be_used(inputs, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "lora_dropout": 0.05}
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(config))
    fails("train", *command_of(inputs, tmp_path / "run", adapter=["--init-adapter", folder]),
          line=f"'lora_dropout' is 0.05: dropout is not supported [{path}:lora_dropout] (set it to 0: the adapter's "
               "weights stay as they are)")
    fails("convert", "import", "--model", folder, "--out", tmp_path / "ck",
          line=f"'lora_dropout' is 0.05: dropout is not supported [{path}:lora_dropout] (set it to 0: the adapter's "
               "weights stay as they are)")
    path.write_text(json.dumps(config | {"lora_dropout": 0}))
    fails("convert", "import", "--model", folder, "--out", tmp_path / "ck",
          line=f"the folder has no adapter_model.safetensors [{folder}] (restore it from where the folder came)")
    values = np.ones(64, np.float32).tobytes()
    models.write_safetensors(folder / "adapter_model.safetensors",
                             {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight":
                              {"dtype": "F32", "shape": [2, 32], "data_offsets": [0, len(values)]}}, values)
    fails("convert", "import", "--model", folder, "--out", tmp_path / "ck",
          line=f"the adapter has no lora_B [{folder}:model.layers.0.self_attn.q_proj] (restore the adapter's files "
               "from where they came)")
    assert not (tmp_path / "ck").exists()
