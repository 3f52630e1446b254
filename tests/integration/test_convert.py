"""refrain-convert from outside: round trips at several rank counts, the same bytes at any, what stands in the way."""

import hashlib
import json
import shutil

import h5py
import pytest
from disks import small_disk
from models import CONFIG, make_model, shapes
from refrain import copy_folder, data, fails, run


def digests(folder, pattern="*"):
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def tensors(folder):
    """What a Hugging Face folder holds, by name, as (dtype, shape, bytes)."""
    result = {}
    for path in folder.glob("*.safetensors"):
        text = path.read_bytes()
        size = int.from_bytes(text[:8], "little")
        for name, entry in json.loads(text[8:8 + size]).items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                result[name] = entry["dtype"], entry["shape"], text[8 + size + begin:8 + size + end]
    return result


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_round_trip_is_bit_identical(tmp_path, ranks):
    model = data("stories260K/hf")
    run("convert", "import", "--model", model, "--out", tmp_path / "ck", ranks=ranks)
    run("convert", "verify", tmp_path / "ck", ranks=ranks)
    run("convert", "export", "--checkpoint", tmp_path / "ck", "--out", tmp_path / "hf", ranks=ranks)
    assert tensors(tmp_path / "hf") == tensors(model)
    small = {name: digest for name, digest in digests(model).items() if not name.endswith(".safetensors")}
    assert digests(tmp_path / "hf").items() >= small.items()


def test_same_bytes_at_any_rank_count(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    model = make_model(tmp_path / "model")
    for ranks in (1, 2, 4):
        run("convert", "import", "--model", model, "--out", tmp_path / f"import{ranks}", ranks=ranks)
        run("convert", "init", "--model-config", tmp_path / "config.json", "--seed", 5,
            "--out", tmp_path / f"init{ranks}", ranks=ranks)
    for kind in ("import", "init"):
        one, two, four = (digests(tmp_path / f"{kind}{ranks}", "*.h5") for ranks in (1, 2, 4))
        assert one == two == four != {}
        manifests = [json.loads((tmp_path / f"{kind}{ranks}/manifest.json").read_text()) for ranks in (1, 2, 4)]
        assert manifests[0]["tensors"] == manifests[1]["tensors"] == manifests[2]["tensors"]
        assert list(manifests[0]["tensors"]) == [f"/weights/{name}" for name in shapes(CONFIG)]


def test_files_are_read_by_others(tmp_path):
    """bf16 as h5py sees it, the attributes that say what a slice is, and modes."""
    run("convert", "import", "--model", data("stories260K/hf"), "--out", tmp_path / "ck", "--dtype", "bf16")
    with h5py.File(tmp_path / "ck/weights-00001-of-00001.h5") as file:
        assert file.attrs["schema"] == b"weights.v1"
        dataset = file["weights/model.norm.weight"]
        assert dataset.attrs["dtype"] == b"bf16"
        assert dataset.fletcher32 and dataset.chunks
        assert abs(float(dataset[0])) < 100
    assert (tmp_path / "ck").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "ck/manifest.json").stat().st_mode & 0o777 == 0o600
    config = json.loads((tmp_path / "ck/config.json").read_text())
    assert config.get("dtype", config.get("torch_dtype")) == "bfloat16"


def test_inspect_prints_a_table(tmp_path):
    run("convert", "import", "--model", make_model(tmp_path / "model"), "--out", tmp_path / "ck")
    text = run("convert", "inspect", tmp_path / "ck").stdout
    rows = [line.split() for line in text.splitlines()]
    assert ["/weights/model.layers.1.mlp.down_proj.weight", "fp32", "[32,", "48]", "6,144", "1"] in rows
    assert "21 tensors, " in text and "provenance" in text and "refrain-convert import" in text
    assert "model.layers.1.mlp.down_proj.weight" in run("convert", "inspect", tmp_path / "model").stdout
    assert "weights.v1" in run("convert", "inspect", tmp_path / "ck/weights-00001-of-00001.h5").stdout


def test_what_exists_is_not_overwritten(tmp_path):
    model = make_model(tmp_path / "model")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").write_text("mine")
    line = f"exists already and is not an empty folder [{tmp_path}/full] (choose another name, or remove it first)"
    for ranks in (1, 2):
        fails("convert", "import", "--model", model, "--out", tmp_path / "full", line=line, ranks=ranks)
    (tmp_path / "empty").mkdir()
    run("convert", "import", "--model", model, "--out", tmp_path / "empty/")
    fails("convert", "export", "--checkpoint", tmp_path / "empty", "--out", tmp_path / "full", line=line)
    assert digests(tmp_path / "full").keys() == {"a"}
    assert not list(tmp_path.glob("*.tmp"))


def test_full_disk(tmp_path):
    with small_disk(tmp_path / "small", "400k") as small:
        fails("convert", "import", "--model", data("stories260K/hf"), "--out", small / "ck",
              line=f"the checkpoint needs 2.0 MiB, the disk has 400.0 KiB free [{small}/ck] (free space or choose "
                   "another disk)")
        assert list(small.iterdir()) == []


def test_a_model_with_extra_tensors_keeps_them(tmp_path):
    model = make_model(tmp_path / "model", tie_word_embeddings=False)
    config = json.loads((model / "config.json").read_text()) | {"tie_word_embeddings": True}
    (model / "config.json").write_text(json.dumps(config))
    run("convert", "import", "--model", model, "--out", tmp_path / "ck")
    run("convert", "export", "--checkpoint", tmp_path / "ck", "--out", tmp_path / "hf")
    assert tensors(tmp_path / "hf") == tensors(model)
    shutil.rmtree(tmp_path / "hf")
    copy_folder(tmp_path / "ck", tmp_path / "moved")
    run("convert", "export", "--checkpoint", tmp_path / "moved", "--out", tmp_path / "hf")
    assert tensors(tmp_path / "hf") == tensors(model)
