"""The decoder against transformers: logits, log-probabilities, and gradients of every tensor, in fp64 there."""

import json

import numpy as np
import pytest
import torch

import refrain
from safetensors.numpy import load_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

RANKS = [1, 2, 4]
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
LINEAR = {"rope_type": "linear", "factor": 4.0}

BASE = dict(vocab_size=40, hidden_size=32, intermediate_size=44, num_hidden_layers=2, num_attention_heads=8,
            num_key_value_heads=4, max_position_embeddings=512, rope_theta=1e4, rms_norm_eps=1e-5,
            tie_word_embeddings=False, attention_bias=False, mlp_bias=False)
MODELS = {
    "gqa": {},
    "mha": dict(num_key_value_heads=8),
    "head_dim": dict(head_dim=12),
    "tied": dict(tie_word_embeddings=True),
    "vocabulary": dict(vocab_size=37),                                      # padded at 2 and 4 ranks
    "tied_vocabulary": dict(vocab_size=37, tie_word_embeddings=True),
    "tiny_vocabulary": dict(vocab_size=5),                                  # at 4 ranks the last has no row at all
    "theta": dict(rope_theta=5e5),
    "llama3": dict(rope=LLAMA3),
    "linear": dict(rope=LINEAR),
    "qwen2": dict(family="qwen2"),
    "qwen2_tied": dict(family="qwen2", tie_word_embeddings=True, vocab_size=37, num_key_value_heads=8),
    "llama3_old_keys": dict(rope=LLAMA3, old_keys="rope_type"),
    "linear_oldest_keys": dict(rope=LINEAR, old_keys="type"),               # Llama 2 fine-tunes: {"type": "linear"}
}


def make_model(folder, family="llama", rope=None, old_keys=None, **changes):
    """A small model of random weights, norms and biases included, written by transformers."""
    keys = {**BASE, **changes}
    theta = keys.pop("rope_theta")
    if family == "qwen2":
        for key in ("attention_bias", "mlp_bias"):
            del keys[key]
    make_config, make = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}[family]
    config = make_config(**keys, rope_parameters={"rope_type": "default", "rope_theta": theta, **(rope or {})})
    torch.manual_seed(7)
    model = make(config).float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2 + (1 if "norm" in name else 0))
    model.save_pretrained(folder)
    if old_keys:
        path = folder / "config.json"
        written = json.loads(path.read_text())
        written["rope_theta"] = written.pop("rope_parameters")["rope_theta"]
        scaling = dict(rope)
        written["rope_scaling"] = {old_keys: scaling.pop("rope_type"), **scaling}
        path.write_text(json.dumps(written))
        model = LlamaForCausalLM.from_pretrained(folder)
        assert model.config.rope_parameters["rope_type"] == rope["rope_type"], "transformers reads these keys otherwise"
    return model


def packed(sequences):
    """The request for whole sequences one behind the other; every token but a sequence's last is scored."""
    request = {"tokens": [], "positions": [], "segments": [], "head_rows": [], "targets": []}
    for sequence in sequences:
        begin = len(request["tokens"])
        request["tokens"] += sequence
        request["positions"] += range(len(sequence))
        request["segments"].append([begin, len(sequence), 0, 0])
        request["head_rows"] += range(begin, begin + len(sequence) - 1)
        request["targets"] += sequence[1:]
    return request


def forward(folder, request, out, ranks):
    """Runs the tool; returns its arrays by name."""
    out.mkdir()
    (out / "request.json").write_text(json.dumps(request))
    refrain.run("forward", folder, out / "request.json", out, ranks=ranks)
    arrays = {name: np.fromfile(out / name, "<f4") for name in ("logp", "mean_logit", "entropy")}
    arrays["top1"] = np.fromfile(out / "top1", "<i8")
    arrays["peak_memory"] = int((out / "peak_memory").read_text())
    if request.get("logits"):
        arrays["logits"] = np.fromfile(out / "logits", "<f4").reshape(len(request["head_rows"]), -1)
    return arrays


def gradients(out, ranks):
    """Whole gradients by name, put together from the ranks' slices; what several ranks hold must be equal in bits."""
    whole, seen = {}, {}
    for rank in range(ranks):
        values = np.fromfile(out / f"rank-{rank}.f32", "<f4")
        for entry in json.loads((out / f"rank-{rank}.json").read_text()):
            count = int(np.prod(entry["count"]))
            part, values = values[:count].reshape(entry["count"]), values[count:]
            box = tuple(slice(start, start + length) for start, length in zip(entry["start"], entry["count"]))
            total = whole.setdefault(entry["name"], np.zeros(entry["shape"], np.float32))
            filled = seen.setdefault(entry["name"], np.zeros(entry["shape"], bool))
            if filled[box].any():
                assert (total[box] == part).all(), f"{entry['name']} differs between tensor ranks"
            total[box], filled[box] = part, True
    assert all(filled.all() for filled in seen.values())
    return whole


def reference(model, sequences, dlogp):
    """logits, logps, entropy of the scored positions and the gradients of sum(dlogp * logp), all in fp64."""
    model = model.double()
    logits = torch.cat([model(torch.tensor([sequence])).logits[0, :-1] for sequence in sequences])
    logps = logits.log_softmax(-1)
    targets = torch.tensor([token for sequence in sequences for token in sequence[1:]])
    logp = logps.gather(1, targets[:, None])[:, 0]
    model.zero_grad()
    (logp * torch.tensor(dlogp, dtype=torch.float64)).sum().backward()
    grads = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    return logits.detach().numpy(), logp.detach().numpy(), -(logps.exp() * logps).sum(-1).detach().numpy(), grads


def random_sequences(vocabulary, lengths, seed=3):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, vocabulary, length).tolist() for length in lengths]


@pytest.mark.parametrize("name", MODELS)
def test_small_models_equal_transformers(name, tmp_path):
    model = make_model(tmp_path / "model", **MODELS[name])
    sequences = random_sequences(model.config.vocab_size, [150, 1, 29, 70])
    request = packed(sequences)
    dlogp = np.random.default_rng(4).normal(size=len(request["targets"])).astype(np.float32).tolist()
    request.update(dlogp=dlogp, chunk_rows=48, logits=True)
    logits, logp, entropy, grads = reference(model, sequences, dlogp)
    for ranks in RANKS:
        ours = forward(tmp_path / "model", request, tmp_path / f"out-{ranks}", ranks)
        assert abs(ours["logits"] - logits).max() < 1e-4
        assert abs(ours["logp"] - logp).max() < 1e-4
        assert abs(ours["entropy"] - entropy).max() < 1e-4
        assert abs(ours["mean_logit"] - logits.mean(-1)).max() < 1e-4
        assert (ours["top1"] == logits.argmax(-1)).all()
        found = gradients(tmp_path / f"out-{ranks}", ranks)
        assert found.keys() == grads.keys()
        for parameter, expected in grads.items():
            error = np.linalg.norm(found[parameter] - expected) / np.linalg.norm(expected)
            assert error < 1e-5, f"{parameter} at {ranks} ranks: {error:.2e}"


@pytest.mark.parametrize("ranks", RANKS)
def test_stories_equal_their_reference(ranks, tmp_path):
    wanted = load_file(refrain.data("stories260K/reference/reference.safetensors"))
    folder = refrain.data("stories260K/hf")
    prompt, story = wanted["prompt_ids"].tolist(), wanted["greedy_ids"].tolist()
    # The prompt's last position too, so one more token, whatever it is.
    request = {**packed([prompt + [0], story]), "logits": True}
    ours = forward(folder, request, tmp_path / "out", ranks)
    assert abs(ours["logits"][:len(prompt)] - wanted["logits"]).max() < 1e-4
    assert abs(ours["logp"][len(prompt):] - wanted["greedy_logprobs"]).max() < 1e-4
    assert (ours["top1"][len(prompt):] == story[1:]).mean() > 0.99


def test_bf16_stays_near_fp32(tmp_path):
    model = make_model(tmp_path / "model")
    model.bfloat16().save_pretrained(tmp_path / "bf16")
    sequences = random_sequences(model.config.vocab_size, [60, 30])
    request = {**packed(sequences), "dlogp": [1.0] * 88, "dtype": "bf16"}
    _, logp, _, grads = reference(model, sequences, request["dlogp"])
    ours = forward(tmp_path / "bf16", request, tmp_path / "out", 2)
    assert abs(ours["logp"] - logp).max() < 0.15
    for parameter, found in gradients(tmp_path / "out", 2).items():
        assert np.linalg.norm(found - grads[parameter]) / np.linalg.norm(grads[parameter]) < 0.05, parameter


def test_a_packed_batch_equals_one_sequence_at_a_time(tmp_path):
    model = make_model(tmp_path / "model", **MODELS["tied_vocabulary"])
    sequences = random_sequences(37, [50, 8, 120])
    together = {**packed(sequences), "dlogp": [0.5] * 175}
    whole = forward(tmp_path / "model", together, tmp_path / "whole", 1)
    parts = [forward(tmp_path / "model", {**packed([s]), "dlogp": [0.5] * (len(s) - 1)}, tmp_path / f"part-{i}", 1)
             for i, s in enumerate(sequences)]
    assert abs(whole["logp"] - np.concatenate([part["logp"] for part in parts])).max() < 1e-5
    summed = [gradients(tmp_path / f"part-{i}", 1) for i in range(3)]
    for parameter, found in gradients(tmp_path / "whole", 1).items():
        expected = sum(part[parameter] for part in summed)
        assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 1e-5, parameter


def test_logits_of_all_positions_never_exist(tmp_path):
    vocabulary = 128256
    make_model(tmp_path / "model", vocab_size=vocabulary, num_hidden_layers=1)

    def peak(length):
        request = {**packed(random_sequences(vocabulary, [length])), "dlogp": [1.0] * (length - 1)}
        return forward(tmp_path / "model", request, tmp_path / f"out-{length}", 1)["peak_memory"]

    all_logits = 2048 * vocabulary * 4  # 1.05 GB
    grown = peak(2048) - peak(129)
    assert grown < all_logits / 8, f"{grown / 2**20:.0f} MiB more for 2,048 positions than for 129"
