"""A model above 1 GB goes through in bounded memory: VmHWM minus RssFile below the largest tensor plus 512 MiB."""

import hashlib
import json
import math
import shutil
import subprocess
import time

import numpy as np
import pytest
from models import shapes
from refrain import command, environment

# 1.2 GB in bf16, half of it in two tensors: embedding and head of 307 MB.
CONFIG = {"model_type": "llama", "vocab_size": 150000, "hidden_size": 1024, "intermediate_size": 4096,
          "num_hidden_layers": 17, "num_attention_heads": 16, "num_key_value_heads": 4, "tie_word_embeddings": False,
          "torch_dtype": "bfloat16"}
LARGEST = 150000 * 1024 * 2
BOUND = LARGEST + (512 << 20)


def children(pid):
    found = [pid]
    for task in subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split():
        found += children(int(task))
    return found


def data_digest(folder):
    """Of the tensors' bytes, which stand in the model's order in both folders."""
    digest = hashlib.sha1()
    with open(folder / "model.safetensors", "rb") as file:
        file.seek(int.from_bytes(file.read(8), "little"), 1)
        while block := file.read(1 << 24):
            digest.update(block)
    return digest.hexdigest()


def memory(pid):
    """VmHWM - RssFile in bytes of a refrain process, 0 for another or one that is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        if not fields["Name"].strip().startswith("refrain-"):
            return 0
        return (int(fields["VmHWM"].split()[0]) - int(fields["RssFile"].split()[0])) << 10
    except (OSError, KeyError):
        return 0


def peak(ranks, *options):
    """The highest of any rank, watched while the job runs. VmHWM only grows, so the last look before the end counts."""
    process = subprocess.Popen(command("convert", *options, ranks=ranks), env=environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    highest = 0
    while process.poll() is None:
        highest = max([highest, *map(memory, children(process.pid))])
        time.sleep(0.02)
    assert process.returncode == 0, process.stderr.read()
    return highest


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The Hugging Face folder; its values are one random block, again and again."""
    folder = tmp_path_factory.mktemp("large") / "hf"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    header, at = {}, 0
    for name, shape in shapes(CONFIG).items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    block = (np.random.default_rng(0).integers(0, 1 << 16, 1 << 23, dtype=np.uint16) & 0xBFFF).tobytes()
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for begin in range(0, at, len(block)):
            file.write(block[:at - begin])
    assert at > 10**9
    return folder


def test_import_and_export_in_bounded_memory(model, tmp_path):
    for ranks in (1, 2):
        used = peak(ranks, "import", "--model", model, "--out", tmp_path / f"ck{ranks}")
        print(f"import at {ranks} ranks: {used >> 20} MiB above mapped files, bound {BOUND >> 20} MiB")
        assert 0 < used < BOUND
        used = peak(ranks, "export", "--checkpoint", tmp_path / f"ck{ranks}", "--out", tmp_path / "hf")
        print(f"export at {ranks} ranks: {used >> 20} MiB")
        assert 0 < used < BOUND
        assert data_digest(model) == data_digest(tmp_path / "hf")
        shutil.rmtree(tmp_path / "hf")
    tensors = [json.loads((tmp_path / f"ck{ranks}/manifest.json").read_text())["tensors"] for ranks in (1, 2)]
    assert tensors[0] == tensors[1]
