"""Bad models and files: each gives its one line."""

import json
import os
import shutil

import h5py
import numpy as np
import pytest
from models import CONFIG, make_model, write_safetensors
from refrain import fails, run

AGAIN = "(the file is damaged or truncated; download it again)"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model") / "hf")


def refused(tmp_path, folder, line, **keywords):
    fails("convert", "import", "--model", folder, "--out", tmp_path / "out", line=line, **keywords)
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.tmp").exists()


def with_header(tmp_path, model, header, payload=b"\0" * 64):
    folder = tmp_path / "bad"
    folder.mkdir()
    shutil.copy(model / "config.json", folder)
    write_safetensors(folder / "model.safetensors", header, payload)
    return folder


def entry(dtype="F32", shape=(4,), offsets=(0, 16)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


OPTIONS = {
    "no command": ([], "a command is missing (put one of these first: import, export, init, verify, inspect)"),
    "unknown command": (["imprt"], "unknown command 'imprt' (did you mean import?)"),
    "unknown option": (["import", "--modle", "x"], "unknown option --modle (did you mean --model?)"),
    "of another command": (["verify", "x", "--seed", 1], "option --seed belongs to refrain-convert init, not to "
                           "refrain-convert verify (see refrain-convert verify --help)"),
    "no value": (["import", "--model"], "option --model needs a value (write --model HF_DIR)"),
    "not given": (["import", "--model", "x"], "option --out is missing (add --out CKPT: checkpoint folder to make)"),
    "no path": (["verify"], "PATH is missing (refrain-convert verify needs it: checkpoints, run folders, reference caches, HDF5 files)"),
    "out of range": (["init", "--model-config", "x", "--seed", -1, "--out", "y"],
                     "--seed: -1 is out of range (give a whole number of at least 0)"),
    "no choice": (["import", "--model", "x", "--out", "y", "--dtype", "fp64"],
                  "--dtype: 'fp64' is not one of keep, bf16, fp32 (did you mean fp32?)"),
    "missing folder": (["import", "--model", "none", "--out", "y"],
                       "--model names a folder that does not exist [none] (check the path)"),
    "missing file": (["init", "--model-config", "none", "--seed", 1, "--out", "y"],
                     "--model-config names a file that does not exist [none] (check the path)"),
    "a folder for a file": (["init", "--model-config", ".", "--seed", 1, "--out", "y"],
                            "--model-config names a folder, where a file is wanted [.] (name a file)"),
    "missing path": (["inspect", "none"], "the path does not exist [none] (check the path)"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_usage(tmp_path, name):
    words, line = OPTIONS[name]
    fails("convert", *words, line=line, exit_code=2, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


VALUES = {
    "negative": ({"hidden_size": -4}, "'hidden_size' is -4, should be between 1 and 2^31 [{file}:hidden_size] "
                 "(correct the file)"),
    "enormous": ({"vocab_size": 2**40}, "'vocab_size' is 1099511627776, should be between 1 and 2^31 "
                 "[{file}:vocab_size] (correct the file)"),
    "a text": ({"hidden_size": "wide"}, "'hidden_size' is \"wide\", should be a whole number [{file}:hidden_size] "
               "(correct the file)"),
    "a fraction": ({"vocab_size": 1.5}, "'vocab_size' is 1.5, should be a whole number [{file}:vocab_size] "
                   "(correct the file)"),
    "heads": ({"num_key_value_heads": 3}, "4 attention heads do not divide by 3 key-value heads "
              "[{file}:num_key_value_heads] (correct the file)"),
    "odd": ({"head_dim": 7}, "'head_dim' is 7, should be even and above 0 [{file}:head_dim] (correct the file)"),
    "below 0": ({"rms_norm_eps": -1}, "'rms_norm_eps' is -1.0, should be above 0 [{file}:rms_norm_eps] "
                "(correct the file)"),
    "family": ({"model_type": "gpt2"}, "'model_type' is \"gpt2\" [{file}:model_type] (supported are llama and "
               "qwen2)"),
    "activation": ({"hidden_act": "gelu"}, "'hidden_act' is \"gelu\": only silu is supported [{file}:hidden_act] "
                   "(use a model without it)"),
    "rope": ({"rope_scaling": {"rope_type": "yarn", "factor": 2}}, "rope type 'yarn' is not supported "
             "[{file}:rope_type] (known are default, linear and llama3)"),
    "bias": ({"mlp_bias": True}, "'mlp_bias' is true: bias in the MLP is not supported [{file}:mlp_bias] "
             "(use a model without it)"),
}


@pytest.mark.parametrize("name", VALUES)
def test_config_values(tmp_path, name):
    change, line = VALUES[name]
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIG | change))
    fails("convert", "init", "--model-config", file, "--seed", 1, "--out", tmp_path / "out",
          line=line.format(file=file))
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_broken_config(tmp_path):
    file = tmp_path / "config.json"
    file.write_text('{\n"vocab_size": 101,\n}\n')
    fails("convert", "init", "--model-config", file, "--seed", 1, "--out", tmp_path / "out",
          line="broken JSON: syntax error while parsing object key - unexpected "
               f"'}}'; expected string literal [{file}:line 3, column 1] (correct the file or make it again)")


HEADERS = {
    "enormous": ({"a": entry(shape=(2**62, 2**62))},
                 "the shape [4611686018427387904,4611686018427387904] needs more bytes than the file has", "a"),
    "negative": ({"a": entry(shape=(-4,))}, "the shape [-4] is not made of counts", "a"),
    "fraction": ({"a": entry(shape=(1.5,))}, "the shape [1.5] is not made of counts", "a"),
    "outside": ({"a": entry(offsets=(0, 1000))}, "data_offsets [0,1000] lie outside the file's 64 bytes of data", "a"),
    "lying": ({"a": entry(offsets=(0, 12))}, "data_offsets [0,12] do not hold a F32 tensor of [4]", "a"),
    "backwards": ({"a": entry(offsets=(16, 0))}, "data_offsets [16,0] do not hold a F32 tensor of [4]", "a"),
    "overlap": ({"a": entry(), "b": entry(offsets=(8, 24))}, "overlaps the tensor before it", "b"),
    "gap": ({"a": entry(), "b": entry(offsets=(20, 36))}, "leaves a gap behind the tensor before it", "b"),
    "short": ({"a": entry()}, "the tensors end at byte {end}, the file at {size}", ""),
    "dtype": ({"a": entry(dtype="F8_E4M3", offsets=(0, 4))}, "dtype is F8_E4M3, supported are BF16, F16 and F32", "a"),
    "keys": ({"a": {"dtype": "F32"}}, "the header has no 'shape' for the tensor", "a"),
    "malformed": ({"a": entry(offsets=(0,))}, "the header's entry is malformed", "a"),
    "twice": (b'{"a":{"dtype":"F32","shape":[8],"data_offsets":[0,32]},'
              b'"a":{"dtype":"F32","shape":[8],"data_offsets":[32,64]}}',
              "the tensor stands twice in the header", "a"),
    "json": (b"{broken", "the header is not a JSON object", ""),
    "list": (b"[]", "the header is not a JSON object", ""),
}


@pytest.mark.parametrize("name", HEADERS)
def test_lying_safetensors(tmp_path, model, name):
    header, problem, tensor = HEADERS[name]
    folder = with_header(tmp_path, model, header)
    file = folder / "model.safetensors"
    size = file.stat().st_size
    problem = problem.format(end=size - 48, size=size)
    place = f"[{file}{':' + tensor if tensor else ''}]"
    remedy = "(use an unquantized model)" if name == "dtype" else AGAIN
    refused(tmp_path, folder, f"{problem} {place} {remedy}")


def test_safetensors_that_are_none(tmp_path, model):
    folder = with_header(tmp_path, model, {})
    file = folder / "model.safetensors"
    file.write_bytes(b"")
    refused(tmp_path, folder, f"not a safetensors file: it has 0 bytes [{file}] {AGAIN}")
    file.write_bytes(b"\xff" * 20)
    refused(tmp_path, folder,
            f"not a safetensors file: its header is said to have 18446744073709551615 bytes, the file has 20 [{file}] "
            f"{AGAIN}")
    shutil.copy(model / "model.safetensors", file)
    os.truncate(file, file.stat().st_size - 1)
    refused(tmp_path, folder, truncated_line(file))


def header_of(file):
    """Its header, and where the data begin."""
    text = file.read_bytes()
    begin = 8 + int.from_bytes(text[:8], "little")
    return json.loads(text[8:begin]), begin


def truncated_line(file):
    text = file.read_bytes()
    header, begin = header_of(file)
    first, end = header["lm_head.weight"]["data_offsets"]
    return (f"data_offsets [{first},{end}] lie outside the file's {len(text) - begin} bytes of data "
            f"[{file}:lm_head.weight] {AGAIN}")


def test_index_and_files_disagree(tmp_path, model):
    folder = tmp_path / "sharded"
    folder.mkdir()
    shutil.copy(model / "config.json", folder)
    shutil.copy(model / "model.safetensors", folder / "model-00001-of-00001.safetensors")
    names = [name for name in header_of(model / "model.safetensors")[0] if name != "__metadata__"]
    index = folder / "model.safetensors.index.json"

    def write(**changes):
        weight_map = dict.fromkeys(names, "model-00001-of-00001.safetensors") | changes
        index.write_text(json.dumps({"weight_map": weight_map}))

    index.write_text("{")
    refused(tmp_path, folder, "broken JSON: syntax error while parsing object key - unexpected end of input; expected "
                              f"string literal [{index}:line 1, column 2] (correct the file or make it again)")
    write(missing="model-00002-of-00002.safetensors")
    refused(tmp_path, folder, f"the index names model-00002-of-00002.safetensors, which is not there [{index}] "
                              "(download the model again)")
    write(missing="model-00001-of-00001.safetensors")
    refused(tmp_path, folder, "the index says the tensor is in model-00001-of-00001.safetensors, it is not "
                              f"[{index}:missing] (download the model again)")
    write(missing="../model.safetensors")
    refused(tmp_path, folder, 'the tensor\'s file is "../model.safetensors", not the name of a safetensors file '
                              f'[{index}:missing] (download the model again)')
    dropped = names.pop()
    write()
    refused(tmp_path, folder, "the tensor is in model-00001-of-00001.safetensors, the index does not say so "
                              f"[{index}:{dropped}] (download the model again)")


def test_config_and_weights_disagree(tmp_path, model):
    folder = shutil.copytree(model, tmp_path / "bad")
    (folder / "config.json").write_text(json.dumps(CONFIG | {"vocab_size": 102}))
    refused(tmp_path, folder, f"shape is [101, 32], config.json wants [102, 32] [{folder}:model.embed_tokens.weight] "
            "(check that config.json belongs to these weights)")
    (folder / "config.json").write_text(json.dumps(CONFIG | {"num_hidden_layers": 3}))
    refused(tmp_path, folder, f"the model has no tensor model.layers.2.input_layernorm.weight [{folder}] "
            "(check that config.json belongs to these weights)")
    (folder / "config.json").write_text(json.dumps(CONFIG | {"attention_bias": True}))
    refused(tmp_path, folder, "'attention_bias' is true: bias in attention is not supported "
                              f"[{folder}/config.json:attention_bias] (use a model without it)")
    (folder / "config.json").write_text("")
    refused(tmp_path, folder, f"the file is empty, where JSON is wanted [{folder}/config.json] (make it again)")
    (folder / "config.json").unlink()
    refused(tmp_path, folder, "neither a checkpoint (no manifest.json) nor a Hugging Face folder (no config.json) "
                              f"[{folder}] (give the folder of a model)")
    (folder / "model.safetensors").unlink()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    refused(tmp_path, folder, f"the folder has neither model.safetensors nor model.safetensors.index.json [{folder}] "
            "(give a folder with safetensors weights (transformers' save_pretrained writes them))")
    refused(tmp_path, folder / "config.json",
            f"--model names a file, where a folder is wanted [{folder}/config.json] (name a folder)", exit_code=2)


@pytest.mark.parametrize("ranks", [1, 2])
def test_nan_is_not_imported(tmp_path, ranks):
    folder = make_model(tmp_path / "nan")
    text = bytearray((folder / "model.safetensors").read_bytes())
    text[-4:] = np.float32(np.nan).tobytes()
    (folder / "model.safetensors").write_bytes(text)
    refused(tmp_path, folder, "holds NaN or Inf and is not written [/weights/lm_head.weight] "
            "(look where the numbers break: a lower learning rate, fp32, or a sound model)", ranks=ranks)


def hostile(tmp_path, name, make):
    """An HDF5 file that says it is weights.v1, with what `make` puts into it."""
    path = tmp_path / f"{name}.h5"
    good = tmp_path / "good"
    if not good.exists():
        run("convert", "import", "--model", make_model(tmp_path / "model"), "--out", good)
    shutil.copy(good / "weights-00001-of-00001.h5", path)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        make(file)
    return path


FOREIGN = "(files of ours never have this; do not use a file from a source you do not trust)"


def test_hostile_hdf5(tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.arange(4)

    def virtual(file):
        layout = h5py.VirtualLayout(shape=(4,), dtype="<i4")
        layout[:] = h5py.VirtualSource(str(other), "secret", shape=(4,))
        file.create_virtual_dataset("weights/x", layout)

    def enormous(file):
        file.create_dataset("weights/x", shape=(2**40, 2**20), chunks=(1, 1024), dtype="<f4", fletcher32=True)

    cases = {
        "soft": (lambda file: file.__setitem__("weights/x", h5py.SoftLink("/weights/model.norm.weight")),
                 "is a soft link", FOREIGN),
        "external": (lambda file: file.__setitem__("weights/x", h5py.ExternalLink(str(other), "/secret")),
                     "is a link into another file", FOREIGN),
        "hard": (lambda file: file.__setitem__("weights/x", file["weights"]), "has more than one link", FOREIGN),
        "storage": (lambda file: file.create_dataset("weights/x", shape=(4,), dtype="<f4",
                                                     external=[(str(other), 0, 16)]),
                    "keeps its values in another file", FOREIGN),
        "virtual": (virtual, "is a virtual dataset", FOREIGN),
        "filter": (lambda file: file.create_dataset("weights/x", data=np.zeros(64, "<f4"), chunks=(64,),
                                                    compression="lzf"),
                   "uses the filter number 32000", "(write it without, or with deflate, shuffle and fletcher32 only)"),
        "enormous": (enormous, "says it has more values than the file holds",
                     "(the file is damaged, truncated or unfinished; make it again)"),
        "type": (lambda file: file.create_dataset("weights/x", data=np.zeros(4, "<u4")),
                 "has a number type that is not one of ours", FOREIGN),
        "strings": (lambda file: file.create_dataset("weights/x", data=["a", "b"]),
                    "has a number type that is not one of ours", FOREIGN),
        "schema": (lambda file: file.create_dataset("weights/x", data=np.zeros(4, "<i8"), fletcher32=True),
                   "dtype is int64, the schema wants bf16 or fp16 or fp32",
                   "(make the file again with refrain-convert import, refrain-train)"),
        "contiguous": (lambda file: file.create_dataset("weights/x", data=np.zeros(4, "<f4")), "has no checksums",
                       "(make the file again)"),
    }
    for name, (make, problem, remedy) in cases.items():
        path = hostile(tmp_path, name, make)
        where = "/weights" if name == "hard" else "/weights/x"
        fails("convert", "verify", path, line=f"{problem} [{path}:{where}] {remedy}")


def test_files_of_no_kind(tmp_path):
    missing = tmp_path / "none"
    fails("convert", "verify", missing, line=f"does not exist [{missing}] (check the path)")
    fails("convert", "verify", tmp_path,
          line=f"neither a checkpoint (no manifest.json) nor a run folder (no run.json) [{tmp_path}] (give a folder "
               "that Refrain wrote)")
    path = tmp_path / "x.h5"
    path.write_bytes(b"")
    fails("convert", "verify", path, line=f"the file is empty [{path}] (make it again)")
    path.write_bytes(hostile(tmp_path, "whole", lambda file: None).read_bytes()[:5000])
    fails("convert", "verify", path,
          line=f"cannot be opened as HDF5: truncated file "
               f"[{path}] (the file is damaged or truncated; make it again)")
    path.write_bytes(b"text")
    fails("convert", "verify", path, line=f"not an HDF5 file [{path}] (give a file that Refrain wrote)")
    with h5py.File(path, "w") as file:
        file["a"] = 1
    fails("convert", "verify", path,
          line=f"the file has no root attribute 'schema' [{path}] (give a file that Refrain wrote)")
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = np.bytes_("pairs.v7")
        file.attrs["provenance"] = np.bytes_("{}")
    fails("convert", "verify", path,
          line=f"the file says that it is of kind 'pairs.v7', which this version does not know [{path}:/@schema] (use "
               "the version of Refrain that wrote it, or make it again)")
