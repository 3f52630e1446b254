"""What refrain-study doctor says of variables that jobs could not work with."""

import shutil

import pytest
import refrain
from doctor_project import Project, lines_of, only_broken


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_variables_that_are_not_set(project):
    text = project.doctor(REFRAIN_MODEL="", REFRAIN_PAIRS="", REFRAIN_RUNS="")
    assert lines_of(text, "broken") == [
        "broken   REFRAIN_MODEL: is not set (export it in env/site.sh: the Hugging Face folder or checkpoint to start "
        "from)",
        "broken   REFRAIN_PAIRS: is not set (export it in env/site.sh: the preference files)",
        "broken   REFRAIN_RUNS: is not set (export it in env/site.sh: the folder for run folders, on a file system "
        "that all nodes see)"]


@pytest.mark.parametrize("variable, value, line", [
    ("REFRAIN_MODEL", "/none", "it names a folder that does not exist [/none] (check the path)"),
    ("REFRAIN_PAIRS", "/none/a.jsonl",
     "REFRAIN_PAIRS names a file that does not exist [/none/a.jsonl] (quote paths that hold spaces)"),
    ("REFRAIN_PAIRS", "'a", "REFRAIN_PAIRS has a ' that is not closed (close it, or write \\')"),
    ("REFRAIN_PAIRS", "/proc", "it names a folder, where a file is wanted [/proc] (name a file)"),
    ("REFRAIN_PROMPTS", "/none.jsonl",
     "REFRAIN_PROMPTS names a file that does not exist [/none.jsonl] (quote paths that hold spaces)"),
    ("REFRAIN_GUARDS", "llama-guard-3=/none",
     "llama-guard-3's folder does not exist [/none] (name a Hugging Face folder or a checkpoint)"),
    ("REFRAIN_DECIDERS", "foo", "names guards, and REFRAIN_GUARDS is not set (set REFRAIN_GUARDS, or unset "
                                "REFRAIN_DECIDERS)"),
    ("OMP_NUM_THREADS", "many", "is 'many', not a number above 0 (unset it in env/site.sh)"),
])
def test_a_variable_that_names_nothing(project, variable, value, line):
    only_broken(project, f"{variable}: {line}", **{variable: value})


def test_other_variables(project):
    only_broken(project, "variables: REFRAIN_TENSOR_PARALLEL is 'four', not a number above 0 (set it to a number such "
                         "as 4)", REFRAIN_TENSOR_PARALLEL="four")
    text = project.doctor(REFRAIN_TENSOR_PARALLEL="four", REFRAIN_MAX_JOBS="ten", REFRAIN_TRAIN_ARGS="--beta 0.3",
                          REFRAIN_SHARD_ARGS="--max-lenght 7", REFRAIN_JUDGE_ARGS="'open")
    assert lines_of(text, "broken") == [
        "broken   variables: REFRAIN_JUDGE_ARGS has a ' that is not closed (close it, or write \\')",
        "broken   variables: REFRAIN_MAX_JOBS is 'ten', not a whole number above 0 (set it to the number of jobs that the "
        "site lets one user have, such as 200)",
        "broken   variables: REFRAIN_SHARD_ARGS has --max-lenght, which is no option of refrain-shard (did you mean "
        "--max-length?)",
        "broken   variables: REFRAIN_TENSOR_PARALLEL is 'four', not a number above 0 (set it to a number such as 4)",
        "broken   variables: REFRAIN_TRAIN_ARGS sets --beta, which the study sets itself (take it out; the sweep "
        "(REFRAIN_SWEEP) sets beta, learning rate, seed and what its table names)"]
    text = project.doctor(REFRAIN_STUDY="dpo_9b_de", REFRAIN_SWEEP="mine")
    sweep, study = lines_of(text, "broken")
    tables = ", ".join(sorted(file.stem for file in (refrain.SOURCE / "slurm/sweeps").iterdir()))
    assert sweep == (f"broken   REFRAIN_SWEEP: there is no sweep 'mine' [{refrain.SOURCE}/slurm/sweeps] (set "
                     f"REFRAIN_SWEEP to a path or one of: {tables})")
    assert study == ("broken   REFRAIN_STUDY: there is no configuration 'dpo_9b_de' (names are dpo_8b|70b_balanced|"
                     "high_resource|english_only|no_english|balanced_matched|english_only_long|en|de|fr|it|es|pt|pl|cs|"
                     "sk|sl|lt|lv)")


def test_deciders(project):
    guard = project.root / "guard"
    shutil.copytree(project.root / "model", guard)
    guards = f"llama-guard-3='{guard}'"
    only_broken(project, "REFRAIN_DECIDERS: foo is none of the guards (name some of: llama-guard-3)",
                REFRAIN_DECIDERS="foo", REFRAIN_GUARDS=guards)
    assert "ok       REFRAIN_DECIDERS: llama-guard-3\n" in project.doctor(REFRAIN_DECIDERS="llama-guard-3",
                                                                         REFRAIN_GUARDS=guards)
    (guard / "tokenizer.json").unlink()
    text = project.doctor(REFRAIN_DECIDERS="llama-guard-3", REFRAIN_GUARDS=guards)
    assert lines_of(text, "broken") == [f"broken   REFRAIN_GUARDS: llama-guard-3's folder has no tokenizer.json [{guard}] "
                                        "(download the whole model, or name another folder)"]


def test_a_model_that_is_none(project):
    (project.root / "model/config.json").unlink()
    only_broken(project, f"REFRAIN_MODEL: the folder has no config.json [{project.root}/model] (download the whole "
                         "model, or name another folder)")
    project.write_model(1000)
    (project.root / "model/model.safetensors").write_bytes(b"cut off")
    only_broken(project, "REFRAIN_MODEL: not a safetensors file, or one that is cut off "
                         f"[{project.root}/model/model.safetensors] (download the model again)")


def test_a_pairs_file_that_may_not_be_read(project):
    (project.root / "pairs.jsonl").chmod(0)
    refrain.hand_over(project.root)
    text = project.doctor(unprivileged=True)
    assert lines_of(text, "broken") == [
        "broken   REFRAIN_PAIRS: cannot read the file that it names: Permission denied "
        f"[{project.root}/pairs.jsonl] (check who owns it and its permissions)"]
