"""Models that transformers writes go in and come out; it loads what we write, and its initialisation is ours."""

import json

import pytest
import torch
from checkpoints import manifest
from refrain import run
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

ROPES = {"none": None,
         "linear": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0},
         "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 64, "rope_theta": 500000.0}}


def config(make=LlamaConfig, **changes):
    return make(**({"vocab_size": 131, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
                    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256} | changes))


def tensors(folder):
    result = {}
    for path in folder.glob("*.safetensors"):
        result.update(load_file(path))
    return result


def equal(left, right):
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype and torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("family,tied", [("llama", False), ("llama", True), ("qwen2", False)])
@pytest.mark.parametrize("shard", ["40KB", "5GB"])
def test_round_trip(tmp_path, dtype, family, tied, shard):
    torch.manual_seed(1)
    make_config, make = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}[family]
    model = make(config(make_config, tie_word_embeddings=tied, rope_parameters=ROPES["llama3"]))
    model = model.to(getattr(torch, dtype))
    model.save_pretrained(tmp_path / "model", max_shard_size=shard)
    sharded = len(list((tmp_path / "model").glob("*.safetensors"))) > 1
    assert sharded == (shard == "40KB")
    run("convert", "import", "--model", tmp_path / "model", "--out", tmp_path / "ck", ranks=2 if sharded else 1)
    run("convert", "export", "--checkpoint", tmp_path / "ck", "--out", tmp_path / "hf")
    assert equal(tensors(tmp_path / "model"), tensors(tmp_path / "hf"))
    for name in ("config.json", "generation_config.json"):
        assert (tmp_path / "hf" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()
    loaded, left_out = AutoModelForCausalLM.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not left_out["missing_keys"] and not left_out["unexpected_keys"]
    assert loaded.dtype == getattr(torch, dtype)
    assert equal(dict(model.state_dict()), dict(loaded.state_dict()))


@pytest.mark.parametrize("rope", ROPES)
@pytest.mark.parametrize("head_dim", [None, 24])
def test_configurations_are_understood(tmp_path, rope, head_dim):
    """The shapes that config.json means, in the spelling of transformers 5 and in the old one."""
    changes = {"rope_parameters": ROPES[rope]} if ROPES[rope] else {}
    LlamaForCausalLM(config(head_dim=head_dim, **changes)).save_pretrained(tmp_path / "model")
    run("convert", "import", "--model", tmp_path / "model", "--out", tmp_path / "ck")
    file = tmp_path / "model/config.json"
    old = json.loads(file.read_text())
    parameters = old.pop("rope_parameters")
    old["rope_theta"] = parameters.pop("rope_theta")
    old["rope_scaling"] = None if rope == "none" else parameters
    file.write_text(json.dumps(old))
    run("convert", "import", "--model", tmp_path / "model", "--out", tmp_path / "old")
    manifests = [manifest(tmp_path / name)["tensors"] for name in ("ck", "old")]
    assert manifests[0] == manifests[1]


def test_import_as_bf16_rounds_as_torch(tmp_path):
    torch.manual_seed(2)
    model = LlamaForCausalLM(config())
    with torch.no_grad():
        model.lm_head.weight.mul_(10 ** torch.randn_like(model.lm_head.weight))
    model.save_pretrained(tmp_path / "model")
    run("convert", "import", "--model", tmp_path / "model", "--out", tmp_path / "ck", "--dtype", "bf16")
    run("convert", "export", "--checkpoint", tmp_path / "ck", "--out", tmp_path / "hf")
    assert equal({name: value.bfloat16() for name, value in tensors(tmp_path / "model").items()},
                 tensors(tmp_path / "hf"))
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "hf").dtype == torch.bfloat16


def test_init_is_transformers_rule(tmp_path):
    """Mean, deviation and shape of the distribution, tensor by tensor, beside transformers' own draw."""
    settings = config(vocab_size=2000, hidden_size=128, initializer_range=0.03, pad_token_id=5)
    torch.manual_seed(3)
    theirs = LlamaForCausalLM(settings)
    theirs.save_pretrained(tmp_path / "theirs")
    run("convert", "init", "--model-config", tmp_path / "theirs/config.json", "--seed", 3, "--out", tmp_path / "ck")
    run("convert", "export", "--checkpoint", tmp_path / "ck", "--out", tmp_path / "hf")
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "hf").state_dict()
    for name, expected in theirs.state_dict().items():
        value = ours[name]
        assert value.shape == expected.shape
        if expected.dim() == 1:
            assert torch.equal(value, expected)
            continue
        error = 5 * 0.03 / value.numel() ** 0.5
        assert abs(value.mean().item()) < error, name
        assert abs(value.std().item() - expected.std().item()) < 2 * error, name
        assert abs((value / 0.03).pow(4).mean().item() - 3) < 0.5, name
    assert torch.equal(ours["model.embed_tokens.weight"][5], theirs.state_dict()["model.embed_tokens.weight"][5])
    run("convert", "init", "--model-config", tmp_path / "theirs/config.json", "--seed", 4, "--out", tmp_path / "other")
    first, second = (manifest(tmp_path / name)["tensors"]["/weights/lm_head.weight"] for name in ("ck", "other"))
    assert first["slices"][0]["xxh3"] != second["slices"][0]["xxh3"]


def test_exported_header_is_what_safetensors_reads(tmp_path):
    LlamaForCausalLM(config()).save_pretrained(tmp_path / "model")
    run("convert", "import", "--model", tmp_path / "model", "--out", tmp_path / "ck")
    run("convert", "export", "--checkpoint", tmp_path / "ck", "--out", tmp_path / "hf")
    with safe_open(tmp_path / "hf/model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert "lm_head.weight" in file.keys()
