"""The figures that docs/reproduce.md quotes are those that the planner gives, and that arithmetic gives."""

import json
import os
import re
import subprocess

import pytest

from docs_pages import DOCS, section
from refrain import BIN, SOURCE, run

import sys

sys.path.insert(0, str(SOURCE / "tests/benchmarks"))
from plan_study import COMMON, SIZES  # noqa: E402

PAGE = (DOCS / "reproduce.md").read_text()


def test_the_table_of_the_study():
    command = re.search(r"^    (tests/benchmarks/plan_study\.py .*)$", PAGE, flags=re.M)[1]
    said = subprocess.run([SOURCE / command.split()[0], *command.split()[1:]], check=True, capture_output=True, text=True,
                          env={**os.environ, "REFRAIN_BIN": str(BIN)}).stdout
    assert said.count("\n") > 10 and said in section(PAGE, "Training")


@pytest.mark.parametrize("size, name", [("8B", "NeuralDaredevil-8B-abliterated"), ("70B", "Llama-3.1-70B-Instruct-lorablated")])
def test_time_and_disk(tmp_path, size, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").write_text(json.dumps({**COMMON, **SIZES[size]}))
    words, *quoted = re.search(rf"^    refrain-train (--plan --init {name} .*)\n((?:    .+\n)+)", PAGE, flags=re.M).groups()
    said = run("train", *words.split(), cwd=tmp_path).stdout.splitlines()
    lines = [line.strip() for line in quoted[0].splitlines()]
    assert len(lines) == 2 and all(line in said for line in lines), said


def test_sizes_of_the_models():
    """16 GB, 141 GB, 2.4 TB: bf16 weights of fifteen runs of each."""
    parameters = {"8B": 8_030_261_248, "70B": 70_553_706_496}
    small, large = (2 * parameters[size] / 1e9 for size in SIZES)
    assert f"{small:.0f} GB for 8B, {large:.0f} GB for 70B; fifteen of each are {15 * (small + large) / 1e3:.1f} TB" in \
        PAGE.replace("\n", " ")


PARAMETERS = {"NeuralDaredevil-8B-abliterated": 8_030_261_248, "Llama-3.1-70B-Instruct-lorablated": 70_553_706_496,
              "Llama-Guard-3-8B": 8_030_261_248, "PolyGuard-Qwen": 7_615_616_512,
              "Llama-3.1-70B-Instruct": 70_553_706_496}


def test_the_whole_study(tmp_path):
    """The dry run of the paper's study, on folders that have no more of the models than headers."""
    for name, parameters in PARAMETERS.items():
        (tmp_path / name).mkdir()
        header = json.dumps({"weights": {"dtype": "BF16", "shape": [parameters], "data_offsets": [0, 2 * parameters]}})
        (tmp_path / name / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header.encode())
        (tmp_path / name / "tokenizer.json").write_text("{}")
        (tmp_path / name / "config.json").write_text(json.dumps({**COMMON, **SIZES["70B" if "70B" in name else "8B"]}))
    data = tmp_path / "data.parquet"
    data.write_text("")
    said = run("study", "run", "paper", "--dry-run", REFRAIN_HOME=SOURCE, REFRAIN_MODELS=tmp_path, REFRAIN_PAIRS=data,
               REFRAIN_PROMPTS=data, REFRAIN_RUNS=tmp_path / "runs").stdout.splitlines()
    sums = re.search(r"ends with\n\n((?:    .+\n)+)", section(PAGE, "Answers and judges"))[1]
    assert [line.strip() for line in sums.splitlines()] == said[-4:]
    page = (DOCS / "studies.md").read_text()
    for part in ("train", "generate"):
        estimate = re.search(rf"^    70b/{part}/english_only: .*\n.*\n +(.*)$", page, flags=re.M)[1]
        assert said[next(i for i, line in enumerate(said) if line.startswith(f"70b/{part}/english_only: ")) + 2].strip() == \
            estimate


def wilson(share, number, z=1.959964):
    """Half the width of the score interval."""
    return z / (1 + z * z / number) * (share * (1 - share) / number + z * z / (4 * number * number)) ** 0.5


def test_what_chance_does():
    assert 0.9 < 100 * wilson(0.0352, 1400) < 1.1 and 0.25 < 100 * wilson(0.0352, 16800) < 0.35
    answers = 100 * 14 * 12
    assert f"16 x {answers:,} = {16 * answers:,}" in PAGE
    assert f"| {2 * 16 * answers:,}, " in PAGE and f"| {16 * answers // 10:,} at most |" in PAGE
