"""Bad input of refrain-train: each ends with one exact line, the right exit code, and no run folder."""

import hashlib
import json
import os
import shutil

import h5py
import numpy as np
import pytest

from refrain import fails, run
from small_runs import VOCABULARY, options, train_to, write_model, write_pairs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train-errors")
    return {"model": write_model(folder / "model"), "pairs": write_pairs(folder / "pairs.h5", 24)}


@pytest.fixture
def refused(inputs, tmp_path):
    """Runs refrain-train, which must end with `line` before there is a run; {dir} stands for the test's folder."""
    def call(line, *more, model=inputs["model"], pairs=inputs["pairs"], run_dir=tmp_path / "run", **keywords):
        more = [str(word).replace("{dir}", str(tmp_path)) for word in more]
        fails("train", *options(model, pairs, run_dir), *more, line=line.replace("{dir}", str(tmp_path)), **keywords)
        assert not (tmp_path / "run").exists()
    return call


OPTIONS = {
    "unknown": (["--label-smothing", 0.1], "unknown option --label-smothing (did you mean --label-smoothing?)"),
    "unlike any": (["--frobnicate"], "unknown option --frobnicate (see refrain-train --help)"),
    "no value": (["--data-parallel"], "option --data-parallel needs a value (write --data-parallel N)"),
    "twice": (["--beta", 0.2], "option --beta is given twice (give it once)"),
    "too small": (["--weight-decay", -1], "--weight-decay: -1 is out of range (give a number of at least 0)"),
    "too large": (["--label-smoothing", 0.5], "--label-smoothing: 0.5 is out of range (give a number from 0 to 0.499)"),
    "no number": (["--epochs", "many"], "--epochs: 'many' is not a number (give a number above 0)"),
    "no whole number": (["--keep-checkpoints", 1.5],
                        "--keep-checkpoints: '1.5' is not a whole number (give a whole number of at least 1)"),
    "no choice": (["--dtype", "fp64"], "--dtype: 'fp64' is not one of auto, bf16, fp32 (did you mean fp32?)"),
    "smoothing of another loss": (["--label-smoothing", 0.1],
                                  "--label-smoothing belongs to --loss robust alone (leave it out, or choose --loss "
                                  "robust)"),
    "sft and its weight": (["--loss", "sft", "--sft-weight", 1],
                           "--sft-weight adds the token loss to another loss, and --loss sft is that loss (leave it "
                           "out)"),
    "steps and minutes": (["--checkpoint-every", 2, "--checkpoint-minutes", 3],
                          "--checkpoint-every and --checkpoint-minutes contradict each other (give one of them)"),
    "evaluation of nothing": (["--eval-every", 2],
                              "--eval-every needs --eval-pairs (name held-out pairs, or leave it out)"),
    "no CUDA here": (["--device", "cuda"], "--device cuda: this build trains on CPUs alone (leave --device out, "
                                           "give --device cpu, or build with env/setup.sh --cuda)"),
    "missing evaluation": (["--eval-pairs", "{dir}/none.h5"],
                           "--eval-pairs names a file that does not exist [{dir}/none.h5] (check the path)"),
    "missing checkpoint": (["--resume", "{dir}/none"],
                           "--resume names a folder that does not exist [{dir}/none] (check the path)"),
    "missing configuration": (["--config", "{dir}/none.ini"],
                              "--config names a file that does not exist [{dir}/none.ini] (check the path)"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(refused, name):
    words, line = OPTIONS[name]
    refused(line, *words, exit_code=2)


@pytest.mark.parametrize("text, line", [
    ("weight-decay = -1\n", "'weight-decay': -1 is out of range [{file}:weight-decay] (give a number of at least 0)"),
    ("weight\n", "the line 'weight' is not KEY = VALUE [{file}] (write lines like: seed = 42)"),
])
def test_a_configuration_file(refused, tmp_path, text, line):
    file = tmp_path / "x.ini"
    file.write_text(text)
    refused(line.format(file=file), "--config", file, exit_code=2)


@pytest.mark.parametrize("ranks, words, line", [
    (2, ["--tensor-parallel", 3],
     "--tensor-parallel 3 does not divide 2 ranks (with 2 ranks, tensor x data parallel can be 1 x 2, 2 x 1)"),
    (2, ["--tensor-parallel", 2, "--data-parallel", 2],
     "--tensor-parallel 2 x --data-parallel 2 needs 4 ranks, here run 2 (start 4 ranks, or with 2 ranks tensor x data "
     "parallel can be 1 x 2, 2 x 1)"),
    (1, ["--tensor-parallel", 2],
     "--tensor-parallel 2 does not divide 1 rank (with 1 rank, tensor x data parallel can be 1 x 1)"),
])
def test_ranks_that_are_not_tensor_times_data(refused, ranks, words, line):
    refused(line, *words, ranks=ranks, exit_code=2)


def test_heads_that_do_not_divide(refused):
    refused("tensor-parallel degree 3 does not divide the model's 4 heads, 4 key-value heads and intermediate size 64 "
            "(degrees that work: 1, 2, 4)", "--tensor-parallel", 3, ranks=3)


NOT_OURS = "(the file is damaged or not ours: make it again with refrain-shard)"
AGAIN = "(make the file again with refrain-shard --pairs)"


def set_item(name, row, value):
    def change(file):
        values = file[name][()]
        values[row] = value
        file[name][()] = values
    return change


def wide_tokens(file):
    tokens = file["tokens"][()].astype("<i8")
    del file["tokens"]
    file.create_dataset("tokens", data=tokens, chunks=True, fletcher32=True)


DAMAGES = {
    "another version": (lambda file: file.attrs.__setitem__("schema", np.bytes_("pairs.v7")),
                        "the file is of kind pairs.v7, but pairs.v1 is needed here [{file}] (give the right file)"),
    "no kind": (lambda file: file.attrs.__delitem__("schema"),
                "the file has no root attribute 'schema' [{file}] (give a file that Refrain wrote)"),
    "missing column": (lambda file: file.__delitem__("pair/chosen_begin"),
                       "the file lacks /pair/chosen_begin [{file}] " + AGAIN),
    "wrong type": (wide_tokens, "dtype is int64, the schema wants int32 [{file}:/tokens] " + AGAIN),
    "negative length": (set_item("pair/chosen_length", 3, -5),
                        "row 3 has a length of -5, the least is 1 [{file}:/pair/chosen_length] " + NOT_OURS),
    "enormous offset": (set_item("pair/prompt_begin", 2, 2**62),
                        "row 2 begins at 4611686018427387904 and has {length} tokens, the file has {tokens} "
                        "[{file}:/pair/prompt_begin] " + NOT_OURS),
    "negative token": (set_item("tokens", 7, -3), "token 7 is -3 [{file}:/tokens] " + NOT_OURS),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_pairs_that_are_not_ours(refused, inputs, tmp_path, name):
    change, line = DAMAGES[name]
    path = tmp_path / "bad.h5"
    shutil.copy(inputs["pairs"], path)
    with h5py.File(path, "r+") as file:
        length, tokens = file["pair/prompt_length"][2], len(file["tokens"])
        change(file)
    refused(line.format(file=path, length=length, tokens=tokens), pairs=path)


def test_pairs_that_are_no_such_file(refused, inputs, tmp_path):
    refused("--pairs names a file that does not exist [{dir}/none.h5] (check the path)", pairs=tmp_path / "none.h5",
            exit_code=2)
    refused("--pairs names a folder, where a file is wanted [{dir}] (name a file)", pairs=tmp_path, exit_code=2)
    path = tmp_path / "bad.h5"
    path.write_bytes(b"")
    refused(f"the file is empty [{path}] (make it again)", pairs=path)
    path.write_bytes(b"text")
    refused(f"not an HDF5 file [{path}] (give a file that Refrain wrote)", pairs=path)
    weights = inputs["model"] / "weights-00001-of-00001.h5"
    refused(f"the file is of kind weights.v1, but pairs.v1 is needed here [{weights}] (give the right file)",
            pairs=weights)


@pytest.mark.parametrize("ranks", [1, 2])
def test_truncated_pairs(refused, inputs, tmp_path, ranks):
    whole, path = inputs["pairs"].read_bytes(), tmp_path / "bad.h5"
    path.write_bytes(whole[:3000])
    refused(f"cannot be opened as HDF5: truncated file "
            f"[{path}] (the file is damaged or truncated; make it again)", pairs=path, ranks=ranks)


def test_pairs_of_another_vocabulary(refused, inputs, tmp_path):
    pairs = write_pairs(tmp_path / "large.h5", 8, vocabulary=VOCABULARY + 400)
    with h5py.File(pairs) as file:
        largest = file["tokens"][()].max()
    line = (f"token {largest} is not among the {VOCABULARY} tokens of the model [{pairs}:/tokens] (shard the pairs "
            "with this model's tokenizer)")
    refused(line, pairs=pairs)
    refused(line, "--eval-pairs", pairs)


def test_a_model_that_is_none(refused, inputs, tmp_path):
    refused("--init names a folder that does not exist [{dir}/none] (check the path)", model=tmp_path / "none",
            exit_code=2)
    refused(f"--init names a file, where a folder is wanted [{inputs['pairs']}] (name a folder)",
            model=inputs["pairs"], exit_code=2)
    refused(f"--resume names a file, where a folder is wanted [{inputs['pairs']}] (name a folder)", "--resume",
            inputs["pairs"], exit_code=2)
    neither = "neither a checkpoint (no manifest.json) nor a Hugging Face folder (no config.json)"
    refused(neither + " [{dir}] (give the folder of a model)", model=tmp_path)
    run_dir = tmp_path / "run"
    train_to(1, *options(inputs["model"], inputs["pairs"], run_dir))
    fails("train", *options(run_dir, inputs["pairs"], tmp_path / "next"),
          line=f"{neither} [{run_dir}] (this is a run's folder; its model, once it has finished, is {run_dir}/final)")


@pytest.mark.parametrize("change, line", [
    ({"hidden_size": -32}, "'hidden_size' is -32, should be between 1 and 2^31 [{file}:hidden_size] (correct the "
                           "file)"),
    ({"vocab_size": 2**40}, "'vocab_size' is 1099511627776, should be between 1 and 2^31 [{file}:vocab_size] (correct "
                            "the file)"),
    ({"hidden_size": "wide"},
     "'hidden_size' is \"wide\", should be a whole number [{file}:hidden_size] (correct the file)"),
    ({"num_key_value_heads": 3},
     "4 attention heads do not divide by 3 key-value heads [{file}:num_key_value_heads] (correct the file)"),
    ({"model_type": "gpt2"}, "'model_type' is \"gpt2\" [{file}:model_type] (supported are llama and qwen2)"),
], ids=str)
def test_a_config_that_cannot_be(refused, inputs, tmp_path, change, line):
    model = shutil.copytree(inputs["model"], tmp_path / "model")
    file = model / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    refused(line.format(file=file), model=model)


def failed_run(run_dir):
    """What begins, and then finds its files unsound, leaves the folder of a failed run without checkpoints."""
    assert json.loads((run_dir / "status.json").read_text())["state"] == "failed"
    assert not list(run_dir.rglob("*.tmp")) and not (run_dir / "final").exists()


def test_damaged_checkpoint(inputs, tmp_path):
    model, run_dir = shutil.copytree(inputs["model"], tmp_path / "model"), tmp_path / "run"
    weights = model / "weights-00001-of-00001.h5"
    size = weights.stat().st_size
    os.truncate(weights, 5000)
    fails("train", *options(model, inputs["pairs"], run_dir), line=f"has 5000 bytes, the manifest says {size} [{weights}] "
          "(the checkpoint is damaged; use another one, or make it again)")
    failed_run(run_dir)


def test_broken_manifest(inputs, tmp_path):
    model, run_dir = shutil.copytree(inputs["model"], tmp_path / "model"), tmp_path / "run"
    (model / "manifest.json").write_text("{\n")
    fails("train", *options(model, inputs["pairs"], run_dir),
          line="broken JSON: syntax error while parsing object key - unexpected end of input; expected string literal "
               f"[{model}/manifest.json:line 2, column 1] (correct the file or make it again)")
    failed_run(run_dir)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_checkpoint_of_another_model(inputs, tmp_path):
    other = write_model(tmp_path / "other", hidden_size=48)
    first, second, run_dir = tmp_path / "first", tmp_path / "second", tmp_path / "run"
    digest = {}
    for model, folder in ((inputs["model"], first), (other, second)):
        train_to(1, *options(model, inputs["pairs"], folder))
        digest[folder] = json.loads((folder / "run.json").read_text())["identity"]["init"]
    before = digests(first)
    fails("train", *options(other, inputs["pairs"], first), exit_code=2,
          line=f'the run was started with other options: init "{digest[first]}" -> "{digest[second]}" '
               f"[{first}/run.json] (give the same options to go on, or another --run-dir for a new run)")
    assert digests(first) == before
    words, latest = options(inputs["model"], inputs["pairs"], run_dir), second / "checkpoints/latest"
    fails("train", *words, "--resume", latest, exit_code=2,
          line=f'the checkpoint was made with other options: init "{digest[second]}" -> "{digest[first]}" '
               f"[{latest}] (give the options that it was made with, or start a new run in another --run-dir)")
    fails("train", *words, "--resume", other,
          line=f"the checkpoint holds no optimizer state, so that training cannot go on from it [{other}] (start from "
               "it with --init, or resume from a folder step-...)")
    failed_run(run_dir)


def test_a_file_in_the_run_folders_place(refused, tmp_path):
    (tmp_path / "file").write_text("")
    for run_dir in (tmp_path / "file", tmp_path / "file/run"):
        refused(f"the run folder cannot be made: Not a directory [{run_dir}] (name another with --run-dir)",
                run_dir=run_dir)


def test_a_models_folder_is_no_run_folder(inputs):
    model = inputs["model"]
    before = digests(model)
    fails("train", *options(model, inputs["pairs"], model), exit_code=2,
          line=f"--run-dir is a model's folder [{model}/manifest.json] (name a folder of the run's own)")
    assert digests(model) == before
