"""Small Llama models for the tests, without torch: config.json and safetensors files."""

import json
import pathlib

import numpy as np

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 101, "hidden_size": 32,
          "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
          "hidden_act": "silu", "rms_norm_eps": 1e-5, "max_position_embeddings": 128, "tie_word_embeddings": False,
          "torch_dtype": "float32"}


def shapes(config):
    """Parameter shapes by Hugging Face name."""
    hidden, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    head = config.get("head_dim") or hidden // heads
    queries, keys = heads * head, config.get("num_key_value_heads", heads) * head
    result = {"model.embed_tokens.weight": (config["vocab_size"], hidden)}
    for i in range(config["num_hidden_layers"]):
        for name, shape in {"input_layernorm": (hidden,), "self_attn.q_proj": (queries, hidden),
                            "self_attn.k_proj": (keys, hidden), "self_attn.v_proj": (keys, hidden),
                            "self_attn.o_proj": (hidden, queries), "post_attention_layernorm": (hidden,),
                            "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
                            "mlp.down_proj": (hidden, inner)}.items():
            result[f"model.layers.{i}.{name}.weight"] = shape
    result["model.norm.weight"] = (hidden,)
    if not config["tie_word_embeddings"]:
        result["lm_head.weight"] = (config["vocab_size"], hidden)
    return result


def write_safetensors(path, header, data):
    """A file with exactly this header (an object or raw bytes) and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    pathlib.Path(path).write_bytes(len(text).to_bytes(8, "little") + text + data)


def make_model(folder, seed=0, **changes):
    """A Hugging Face folder with random fp32 weights in one file. Returns the folder."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    config = CONFIG | changes
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    random = np.random.default_rng(seed)
    header, data, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, shape in shapes(config).items():
        values = random.standard_normal(shape, dtype=np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + len(values)]}
        at += len(values)
        data.append(values)
    write_safetensors(folder / "model.safetensors", header, b"".join(data))
    return folder
