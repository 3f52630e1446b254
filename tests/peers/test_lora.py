"""Adapters against PEFT, and training them against TRL with PEFT from one initial adapter."""

import json

import numpy as np
import pytest
import torch

import checkpoints
import trl_dpo
from refrain import metrics, run
from safetensors.torch import load_file
from test_dpo_trl import ABSOLUTE, RELATIVE, random_model, ready_pairs
from test_forward import forward, packed

peft = pytest.importorskip("peft")

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SEQUENCES = [[5, 6, 7, 8, 9, 10, 11, 400, 3], [20, 21, 22, 23], list(range(100, 140))]
BATCH, STEPS, RATE = 8, 12, 1e-3
SETTINGS = {"default": dict(r=4, lora_alpha=8, target_modules=ALL),
            "rslora on some": dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj", "down_proj"],
                                   use_rslora=True)}


def load(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def logits(model):
    with torch.no_grad():
        return [model(torch.tensor([sequence])).logits[0].double().numpy() for sequence in SEQUENCES]


def make_adapter(model_folder, folder, **settings):
    """A PEFT adapter that changes its model: A as PEFT begins, B random."""
    torch.manual_seed(3)
    config = peft.LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **settings)
    model = peft.get_peft_model(load(model_folder), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(folder)
    return folder


def assert_same_logits(found, expected, allowed=1e-4):
    for mine, theirs in zip(found, expected, strict=True):
        assert np.abs(mine - theirs).max() <= allowed


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    model = random_model(folder / "model", num_key_value_heads=2)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        from refrain import data

        (model / name).write_text(data(f"stories260K/hf/{name}").read_text())
    pairs = ready_pairs(folder / "pairs.jsonl", 44)
    run("shard", "--pairs", pairs, "--tokenizer", model, "--configuration", "all", "--max-length", 256,
        "--out", folder / "pairs.h5")
    return folder


def words(base, run_dir, *options):
    return ["--pairs", base / "pairs.h5", "--init", base / "model", "--run-dir", run_dir, "--beta", 0.1,
            "--learning-rate", RATE, "--max-steps", STEPS, "--global-batch-pairs", BATCH, "--micro-batch-tokens", 2048,
            "--shuffle", "off", *options]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_decoder_with_an_adapter_is_pefts(base, tmp_path, name, ranks):
    """Logits, and gradients of every A and B, of PEFT's folder as it is."""
    adapter = make_adapter(base / "model", tmp_path / "adapter", **SETTINGS[name])
    model = peft.PeftModel.from_pretrained(load(base / "model"), adapter, is_trainable=True).double()
    request = packed(SEQUENCES)
    rows = len(request["head_rows"])
    weight = np.random.default_rng(2).standard_normal(rows)
    request.update(adapter=str(adapter), logits=True, dlogp=weight.tolist(), sequence_parallel=False)
    found = forward(base / "model", request, tmp_path / "out", ranks)
    expected, logps = [], []
    for sequence in SEQUENCES:
        output = model(torch.tensor([sequence])).logits[0, :-1]
        expected.append(output.detach().numpy())
        logps.append(output.log_softmax(-1).gather(1, torch.tensor(sequence[1:])[:, None])[:, 0])
    assert np.abs(found["logits"] - np.concatenate(expected)).max() < 1e-4
    (torch.cat(logps) * torch.tensor(weight)).sum().backward()
    from test_forward import gradients

    mine = gradients(tmp_path / "out", ranks)
    theirs = {key.removeprefix("base_model.model.").replace(".default", ""): parameter.grad.numpy()
              for key, parameter in model.named_parameters() if parameter.grad is not None}
    assert set(mine) == set(theirs)
    for key, exact in theirs.items():
        assert trl_dpo.relative_error(mine[key], exact) < 1e-5, key


@pytest.mark.parametrize("name", SETTINGS)
def test_exports_give_pefts_logits(base, tmp_path, name):
    """What we trained, in PEFT's layout and merged, gives the logits that our decoder gives."""
    settings = SETTINGS[name]
    rslora = ["--lora-rslora", "on"] if settings.get("use_rslora") else []
    run("train", *words(base, tmp_path / "run", "--lora-rank", settings["r"], "--lora-alpha", settings["lora_alpha"],
                        "--lora-targets", *settings["target_modules"], *rslora))
    final = tmp_path / "run/final"
    run("convert", "verify", final)
    run("convert", "export", "--checkpoint", final, "--out", tmp_path / "peft")
    run("convert", "export", "--checkpoint", final, "--out", tmp_path / "merged", "--merge", "--base", base / "model",
        ranks=2)
    assert not (tmp_path / "peft/config.json").exists()
    request = packed(SEQUENCES)
    request.update(adapter=str(final), logits=True, head_rows=list(range(len(request["tokens"]))),
                   targets=[0] * len(request["tokens"]))
    ours = forward(base / "model", request, tmp_path / "out", 1)["logits"]
    ours = np.split(ours, np.cumsum([len(sequence) for sequence in SEQUENCES])[:-1])
    model = peft.PeftModel.from_pretrained(load(base / "model"), tmp_path / "peft")
    assert model.peft_config["default"].base_model_name_or_path == str(base / "model")
    assert_same_logits(ours, logits(model))
    assert_same_logits(ours, logits(load(tmp_path / "merged")))
    # The training changed the model by more than that.
    assert max(np.abs(a - b).max() for a, b in zip(ours, logits(load(base / "model")))) > 1e-2
    # PEFT's own merge is ours.
    merged, theirs = load_file(tmp_path / "merged/model.safetensors"), model.merge_and_unload().state_dict()
    for key, value in merged.items():
        assert torch.allclose(value, theirs[key], rtol=1e-6, atol=1e-6), key


def test_pefts_adapter_goes_in_trains_on_and_comes_out(base, tmp_path):
    adapter = make_adapter(base / "model", tmp_path / "adapter", **SETTINGS["rslora on some"])
    run("convert", "import", "--model", adapter, "--out", tmp_path / "ck", ranks=2)
    run("convert", "verify", tmp_path / "ck")
    assert "LoRA adapter of rank 3, alpha 5 (rsLoRA), on q_proj v_proj down_proj" in run(
        "convert", "inspect", tmp_path / "ck").stdout
    run("convert", "export", "--checkpoint", tmp_path / "ck", "--out", tmp_path / "back")
    there, back = (load_file(folder / "adapter_model.safetensors") for folder in (adapter, tmp_path / "back"))
    assert there.keys() == back.keys() and all(torch.equal(there[key], back[key]) for key in there)
    # From the checkpoint as from PEFT's folder; the first loss is that of two equal models.
    for source in (adapter, tmp_path / "ck"):
        run_dir = tmp_path / f"run-{source.name}"
        run("train", *words(base, run_dir, "--init-adapter", source))
        assert metrics(run_dir)[0]["loss"] == pytest.approx(np.log(2), abs=1e-4)
    a, b = (checkpoints.tensors(tmp_path / f"run-{name}/final") for name in ("adapter", "ck"))
    assert all(np.array_equal(a[key], b[key]) for key in a)
    config = json.loads((tmp_path / "run-ck/final/adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (3, 5, True)


def trl_log(base, adapter, out, dtype):
    """TRL's log and the adapter that it ends with, names as in our checkpoints."""
    log, _, weights = trl_dpo.train(base / "model", base / "pairs.jsonl", out, dtype=dtype, batch=BATCH, steps=STEPS,
                                    learning_rate=RATE, beta=0.1, adapter=adapter)
    return log, {key.removeprefix("base_model.model.").replace(".default", ""): value
                 for key, value in weights.items() if "lora_" in key and ".default." in key}


@pytest.fixture(scope="module")
def trained_by_trl(base):
    adapter = make_adapter(base / "model", base / "start", **SETTINGS["default"])
    log, weights = trl_log(base, adapter, base / "trl32", torch.float32)
    _, exact = trl_log(base, adapter, base / "trl64", torch.float64)
    start = {key.removeprefix("base_model.model."): value.double().numpy()
             for key, value in load_file(adapter / "adapter_model.safetensors").items()}
    return adapter, log, weights, exact, start


@pytest.mark.parametrize("ranks,tensor,zero", [(1, 1, 0), (2, 2, 0), (4, 2, 3)])
def test_every_step_is_trls(base, trained_by_trl, ranks, tensor, zero):
    adapter, log, weights, exact, start = trained_by_trl
    run_dir = base / f"run-{ranks}-{tensor}-{zero}"
    run("train", *words(base, run_dir, "--init-adapter", adapter, "--tensor-parallel", tensor, "--zero", zero),
        ranks=ranks)
    for mine, theirs in zip(metrics(run_dir), log, strict=True):
        for key, allowed in RELATIVE.items():
            assert mine[key] == pytest.approx(theirs[key], rel=allowed, abs=1e-12), (mine["step"], key)
        for key, allowed in ABSOLUTE.items():
            assert abs(mine[key] - theirs[key]) <= allowed, (mine["step"], key, mine[key], theirs[key])
    final = checkpoints.tensors(run_dir / "final")
    assert set(final) == set(exact)
    distance = checkpoints.update_distance(start, final, exact)
    trls = checkpoints.update_distance(start, weights, exact)
    print(f"{run_dir.name}: update against fp64: ours {distance:.2e}, TRL's {trls:.2e}")
    assert distance <= max(1e-3, 2 * trls)
