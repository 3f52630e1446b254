#!/usr/bin/env python3
"""Plans the paper's whole study, 15 configurations x two model sizes, by refrain-train --plan; prints a Markdown table.

    tests/benchmarks/plan_study.py [--machine H100] [--nodes-8b 1] [--nodes-70b 8] [OPTION of refrain-train...]

GPU hours of one training run: with each answer on a prompt of its own and with one prompt for both, each with its
reference log-probabilities computed and found in a cache. Plans depend on the number of pairs alone, so the eleven runs
of one language are one row.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

HOME = pathlib.Path(__file__).resolve().parents[2]
TRAIN = pathlib.Path(os.environ.get("REFRAIN_BIN", HOME / "build/bin")) / "refrain-train"
COMMON = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256, "head_dim": 128,
          "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": False,
          "torch_dtype": "bfloat16"}
SIZES = {
    "8B": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
           "max_position_embeddings": 8192},
    "70B": {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
            "max_position_embeddings": 131072},
}
A_LANGUAGE = 2889
CONFIGURATIONS = [("balanced", 12, 1), ("high-resource only", 6, 1), ("English only", 1, 1), ("no English", 11, 1),
                  ("one language, each of 11", 1, 11)]


def plan(size, nodes, machine, languages, *more):
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps({**COMMON, **SIZES[size]}))
        out = pathlib.Path(folder) / "plan.json"
        subprocess.run([TRAIN, "--plan", "--init", folder, "--nodes", str(nodes), "--gpus-per-node", "4", "--machine",
                        machine, "--plan-pairs", str(languages * A_LANGUAGE), "--plan-out", out, *more],
                       check=True, stdout=subprocess.DEVNULL)
        return json.loads(out.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default="H100")
    parser.add_argument("--nodes-8b", type=int, default=1)
    parser.add_argument("--nodes-70b", type=int, default=8)
    words, more = parser.parse_known_args()
    forms = [("prompts apart", "off"), ("shared", "on")]
    columns = ["configuration", "runs", "pairs", "model", "layout"]
    columns += [name + more for name, _ in forms for more in ("", ", reference cached")]
    print("| " + " | ".join(columns) + " |")
    print("| " + " | ".join("---" for _ in columns) + " |")
    sums = {}
    for size, nodes in (("8B", words.nodes_8b), ("70B", words.nodes_70b)):
        for name, languages, runs in CONFIGURATIONS:
            hours = []
            for _, share in forms:
                numbers = plan(size, nodes, words.machine, languages, "--share-prompt", share, *more)
                hours += [numbers["training_gpu_hours"] + numbers["reference_gpu_hours"], numbers["training_gpu_hours"]]
            layout = numbers["layout"]
            text = (f"{nodes} x 4, tensor {layout['tensor_parallel']} x data {layout['data_parallel']}, zero "
                    f"{layout['zero']}, recompute {layout['recompute']}" + ("" if numbers["fits"] else " (does not fit)"))
            sums[size] = [total + runs * each for total, each in zip(sums.get(size, [0] * len(hours)), hours)]
            print(f"| {name} | {runs} | {languages * A_LANGUAGE:,} | {size} | {text} | "
                  + " | ".join(f"{value:,.1f}" for value in hours) + " |")
    for size, hours in sums.items():
        print(f"| all | 15 | | {size} | | " + " | ".join(f"{value:,.0f}" for value in hours) + " |")


if __name__ == "__main__":
    main()
