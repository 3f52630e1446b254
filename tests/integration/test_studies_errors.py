"""Bad input of refrain-study run: one line each that names the file and the key, and nothing is submitted."""

import json
import os
import shutil

import pytest
import refrain
from fake_study import MEMBER, Project
from refrain import check_line
from study_project import model_folder


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


MODEL_KEYS = ("sweep, pairs, prompts, judges, deciders, adjudicator, tensor_parallel, launcher, train_args, "
              "shard_args, prompt_args, generate_args, judge_args, adjudicator_args, report_args, archive_args")
KEYS = ("about, method, machine, models, configurations, sbatch, runs, "
        + MODEL_KEYS.replace("tensor_parallel", "tensor_parallel, disk_tb"))


def content(**changes):
    def change(project):
        for key, value in changes.items():
            if value is None:
                del project.content[key]
            else:
                project.content[key] = value
    return change


@pytest.mark.parametrize("change, line", [
    (content(modles={}), "'modles' is no key here [FILE:modles] (did you mean models?)"),
    (content(questions=1), f"'questions' is no key here [FILE:questions] (the keys are {KEYS})"),
    (content(models=None),
     'there are no models [FILE:models] (write {"8b": "/models/NeuralDaredevil-8B-abliterated"})'),
    (content(models={"8b": {"path": "/x"}}),
     f"'path' is no key here [FILE:models.8b.path] (the keys are configurations, sbatch, folder, {MODEL_KEYS})"),
    (content(models={"8b": 8}), "this is 8, not an object [FILE:models.8b] (write {...})"),
    (content(models={"8b": "/none"}),
     "the model's folder does not exist: /none [FILE:models.8b] (name a Hugging Face folder or a checkpoint)"),
    (content(models={"8b": "model"}),
     "'model' is no path that begins with / [FILE:models.8b.folder] (jobs begin elsewhere: write all of it, or "
     "$NAME/...)"),
    (content(models={"8b": "$REFRAIN_NONE/x"}),
     "$REFRAIN_NONE is not set [FILE:models.8b.folder] (export it in env/site.sh or the submitting shell, or write it "
     "out)"),
    (content(models={"8b": "/x/$"}),
     "'/x/$' has a $ without the name of a variable [FILE:models.8b.folder] (write $NAME, ${NAME}, or $$ for a $)"),
    (content(configurations=None),
     'there are no \'configurations\' [FILE] (write ["balanced", "english_only"])'),
    (content(configurations=[]),
     'there are no configurations [FILE:configurations] (write ["balanced", "english_only"])'),
    (content(configurations=[1]),
     '1 is no name of a configuration [FILE:configurations] (write ["balanced", "english_only"])'),
    (content(configurations=["de", "de"]), "'de' is named twice [FILE:configurations] (name each configuration once)"),
    (content(configurations=["german"]),
     "there is no configuration 'german' [FILE:configurations] (there are balanced, high_resource, english_only, "
     "no_english, balanced_matched, english_only_long, en, de, fr, it, es, pt, pl, cs, sk, sl, lt, lv)"),
    (content(models={"7b": "/models/x"}), "there is no size '7b' [FILE:models.7b] (there are 8b, 70b)"),
    (content(method="ppo"), "there is no method 'ppo' [FILE:method] (there are dpo)"),
    (content(pairs="/none/*.jsonl"),
     "pairs names a file that does not exist: /none/*.jsonl [FILE:pairs] (quote paths that hold spaces)"),
    (content(prompts=[]),
     'this is [], neither a text nor a list of texts [FILE:prompts] (write "a" or ["a", "b"])'),
    (content(judges=["llama-guard-3"]),
     'this is ["llama-guard-3"], not an object of judges [FILE:judges] (write {"llama-guard-3": '
     '"/models/Llama-Guard-3-8B", "refusal-pattern": null})'),
    (content(judges={"polyguard": None}),
     'judges: polyguard is given no model [FILE:judges] (write "polyguard": "FOLDER")'),
    (content(judges={"polyguard": "/none"}),
     "judges: polyguard's folder does not exist: /none [FILE:judges] (name a Hugging Face folder or a checkpoint)"),
    (content(judges={"lama": "/none"}),
     "judges: there is no judge 'lama' [FILE:judges] (name a definition, FILE.json, or one of adjudicator, correctness, "
     "fluency, language, llama-guard-3, polyguard, refusal-pattern)"),
    (content(judges={"refusal-pattern": "/none"}),
     'judges: refusal-pattern asks no model and is given one [FILE:judges] (write "refusal-pattern": null)'),
    (content(judges={"refusal-pattern": None}),
     'judges names no judge of kind safety [FILE:judges] (name guards, such as "llama-guard-3": "FOLDER")'),
    (content(deciders="lama"),
     "deciders: lama is none of the guards [FILE:deciders] (name some of: llama-guard-3 polyguard)"),
    (content(adjudicator={"endpoint": "https://server/v1"}),
     'an adjudicator is a folder, or an endpoint with a model [FILE:adjudicator] (write {"folder": '
     '"/models/adjudicator"} or {"endpoint": "https://server/v1", "model": "NAME"})'),
    (content(adjudicator={"folder": "/none"}),
     "adjudicator: adjudicator's folder does not exist: /none [FILE:adjudicator] (name a Hugging Face folder or a "
     "checkpoint)"),
    (content(adjudicator={"name": "polyguard", "folder": "/none"}),
     "adjudicator: polyguard is one of the guards too [FILE:adjudicator] (name a judge of another name)"),
    (content(train_args="--loss 'ipo"),
     "train_args has a ' that is not closed [FILE:train_args] (close it, or write \\')"),
    (content(tensor_parallel=0),
     "this is 0, not a whole number above 0 [FILE:tensor_parallel] (write a number such as 4)"),
    (content(disk_tb="much"), 'this is "much", not a number above 0 [FILE:disk_tb] (write a number such as 12.5)'),
    (content(train_args=["--epochs", "1"]),
     'this is ["--epochs","1"], not a text [FILE:train_args] (write it in quotes)'),
    (content(train_args="--epochs 1 --epohcs 1"),
     "train_args has --epohcs, which is no option of refrain-train [FILE:train_args] (did you mean --epochs?)"),
    (content(train_args="--help"),
     "train_args has --help, which is no option of refrain-train [FILE:train_args] (docs/options.md lists them)"),
    (content(train_args="--epochs 1 --beta 0.3"),
     "train_args sets --beta, which the study sets itself [FILE:train_args] (take it out; the sweep sets beta, learning "
     "rate, seed and what its table names)"),
    (content(shard_args="--max-lenght=7"),
     "shard_args has --max-lenght, which is no option of refrain-shard [FILE:shard_args] (did you mean --max-length?)"),
    (content(prompt_args="--out /x"),
     "prompt_args sets --out, which the study sets itself [FILE:prompt_args] (take it out)"),
    (content(generate_args="--stops x"),
     "generate_args has --stops, which is no option of refrain-generate [FILE:generate_args] (did you mean --stop?)"),
    (content(judge_args="--judge x"),
     "judge_args sets --judge, which the study sets itself [FILE:judge_args] (take it out)"),
    (content(adjudicator_args="--tensor-paralel 4"),
     "adjudicator_args has --tensor-paralel, which is no option of refrain-judge [FILE:adjudicator_args] (did you mean "
     "--tensor-parallel?)"),
    (content(archive_args="--wieghts final"),
     "archive_args has --wieghts, which is no option of refrain-archive create [FILE:archive_args] (did you mean "
     "--weights?)"),
    (content(report_args="--out /x"), "report_args sets --out, which the study sets itself [FILE:report_args] (take it "
                                      "out)"),
    (content(sbatch={"training": "--nodes=2"}),
     "'training' is no key here [FILE:sbatch.training] (the keys are shard, train, generate, judge, adjudicate, "
     "report, archive)"),
    (content(sbatch={"train": "--array=0-7"}),
     "sbatch.train sets --array, which the study sets itself [FILE:sbatch.train] (take it out)"),
    (content(sbatch={"train": "8 nodes"}),
     "'8' in sbatch.train is no option [FILE:sbatch.train] (begin with --name; quote values that hold spaces)"),
    (content(sbatch={"train": "--tiem=2"}),
     "sbatch refuses: unrecognized option '--tiem=2' [FILE:sbatch.train] (sbatch --help lists its options)"),
    (content(sbatch={"generate": "--ntasks-per-node=6"}),
     "8b/generate has 6 tasks, which do not divide into groups of 4 (tensor parallel) [FILE:models.8b] (set another "
     "tensor_parallel, or --nodes and --ntasks-per-node in sbatch.generate)"),
    (content(tensor_parallel=3),
     "8b/train has 4 tasks, which do not divide into groups of 3 (tensor parallel) [FILE:tensor_parallel] (set another "
     "tensor_parallel, or --nodes and --ntasks-per-node in sbatch.train)"),
    (content(launcher="mpirn -n 4"),
     "the launcher 'mpirn' is not in PATH [FILE:launcher] (load the MPI module in env/site.sh, or set "
     "REFRAIN_LAUNCHER)"),
    (content(sbatch={"train": 8}), 'this is 8, not a text [FILE:sbatch.train] (write "--nodes=8")'),
])
def test_what_is_wrong_in_the_file_names_it_and_the_key(project, change, line):
    change(project)
    _, err = project.run(exit_code=1)
    check_line("study", err, line.replace("[FILE", f"[{project.file}"))
    assert not project.submitted() and not project.folder.exists()


def test_two_models_whose_answers_would_share_a_folder(project):
    (project.root / "other").mkdir()
    model_folder(project.root / "other/model")
    project.content["models"]["70b"] = str(project.root / "other/model")
    _, err = project.run(exit_code=1)
    check_line("study", err, f"its folder has the name of 8b's, model [{project.file}:models.70b] (name one of them by "
                             "a link with another name)")


@pytest.mark.parametrize("folder, place, what", [
    ("model", "models.8b", "the model's folder"), ("guard", "judges", "judges: llama-guard-3's folder"),
    ("adjudicator", "adjudicator", "adjudicator: adjudicator's folder")])
def test_a_folder_that_holds_no_model(project, folder, place, what):
    (project.root / folder / "config.json").unlink()
    _, err = project.run("--dry-run", exit_code=1)
    check_line("study", err, f"{what} has no config.json: {project.root}/{folder} [{project.file}:{place}] (download "
                             "the whole model, or name another folder)")


def test_what_the_environment_adds_is_named_by_its_variable(project):
    _, err = project.run(exit_code=1, REFRAIN_TRAIN_ARGS="--epohcs 1")
    check_line("study", err, "REFRAIN_TRAIN_ARGS has --epohcs, which is no option of refrain-train (did you mean "
                             "--epochs?)")
    assert not project.submitted() and not project.folder.exists()


def test_a_sweep_that_is_not_there(project):
    project.content["sweep"] = "papers"
    _, err = project.run(exit_code=1)
    assert err.startswith(f"refrain-study: there is no sweep 'papers': {refrain.SOURCE}/slurm/sweeps "
                          f"[{project.file}:sweep] (set sweep to a path or one of: ")
    sweep = project.root / "beta.json"
    sweep.write_text('{"grid": {"beta": [0]}}')
    project.content["sweep"] = str(sweep)
    _, err = project.run(exit_code=1)
    check_line("study", err, f"beta is 0, not a number above 0: {sweep} [{project.file}:sweep] (correct the table)")


def test_what_neither_file_nor_environment_sets(project):
    del project.content["pairs"], project.content["judges"]
    _, err = project.run(exit_code=2)
    check_line("study", err, "not set: REFRAIN_PAIRS, REFRAIN_GUARDS (export in env/site.sh or the submitting shell: "
                             "REFRAIN_PAIRS=the preference files, REFRAIN_GUARDS=the judges and their models, such as "
                             "llama-guard-3=/models/guard)")


def test_files_that_are_none(project):
    project.file = project.root / "a study.json"
    _, err = project.run(exit_code=1)
    check_line("study", err, "the study's name, a study, has other characters than letters, digits, - and _ "
                             f"[{project.file}] (rename the file: the name is its folder's and its jobs')")
    done = refrain.run("study", "run", "papers", exit_code=2)
    check_line("study", done.stderr, f"there is no study 'papers' [{refrain.SOURCE}/slurm/studies] (give the path of a "
                                     "file, or one of: paper, small)")
    broken = project.root / "broken.json"
    broken.write_text('{"models": ')
    done = refrain.run("study", "run", broken, exit_code=1)
    assert done.stderr.startswith("refrain-study: ") and f"[{broken}:line 1, column " in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_slurm_nothing_is_made(project):
    _, err = project.run(exit_code=1, PATH="/nowhere")
    check_line("study", err, "sbatch is not in PATH (run this where jobs are submitted, or load the site's Slurm module)")
    assert not project.folder.exists()


@pytest.mark.parametrize("changes, variables, line", [
    ({}, {"MAX_JOBS": "0"},
     "there is no place for one more job: the site lets you have 0 (MaxJobCount of slurm.conf), and 0 wait or run (run "
     "this again once some have ended)"),
    ({"sweep": "default"}, {"MAX_ARRAY": "1"},
     "8b/train/balanced has members up to 1, and an array here only up to 0 (MaxArraySize) (take a smaller sweep, or "
     "several)"),
    ({}, {"REFRAIN_MAX_JOBS": "many"},
     "REFRAIN_MAX_JOBS is 'many', not a whole number above 0 (set it to the number of jobs that the site lets one user "
     "have, such as 200)"),
])
def test_limits_that_leave_nothing(project, changes, variables, line):
    project.content.update(changes)
    code = 2 if "REFRAIN_MAX_JOBS" in variables else 1
    _, err = project.run(exit_code=code, **variables)
    check_line("study", err, line)
    assert not project.submitted()


def test_what_sbatch_refuses_stops_there_and_a_rerun_goes_on(project):
    _, err = project.run(exit_code=1, FAKE_SBATCH="Invalid account")
    assert err.startswith("refrain-study: sbatch refuses: Invalid account [") and len(err.splitlines()) == 1
    project.run()
    assert len(project.submitted()) == 11


def test_a_second_run_of_a_study_is_told_who_is_at_work(project):
    slow = project.root / "slurm commands/sbatch"
    slow.write_text("#!/bin/sh\nsleep 5\nexit 1\n")
    first = project.start()
    while not (project.folder / "study.lock").exists():
        assert first.poll() is None
    _, err = project.run(exit_code=1)
    host = os.uname().nodename.split(".")[0]
    assert err.startswith("refrain-study: another run of this study is at work: "
                          f"process {first.pid} on {host}, since "), err
    assert err.endswith(f" [{project.folder}] (wait until it has ended)\n")
    first.communicate(timeout=60)


def test_a_state_that_was_changed_by_hand_is_refused(project):
    project.run()
    state = project.folder / "study.json"
    state.write_text(state.read_text().replace('"101"', '"999"'))
    _, err = project.run(exit_code=1)
    assert str(state) in err and len(err.splitlines()) == 1
    assert json.loads(state.read_text())["jobs"]["8b/shard"][0]["job"] == "999"


@pytest.mark.parametrize("command, line", [
    ("judge", "REFRAIN_JUDGE: llama is no judge of REFRAIN_GUARDS (name some of: llama-guard-3)"),
    ("adjudicate", "dpo_8b_de/beta=0.1,lr=1e-6,seed=42 has no verdicts of llama-guard-3 yet "
                       "[RUNS/dpo_8b_de/beta=0.1,lr=1e-6,seed=42/verdicts/llama-guard-3.h5] "
                       "(REFRAIN_JUDGE=llama-guard-3 refrain-study judge makes them)"),
    ("archive", "this report is not there yet [/none/report.html] (refrain-study report makes it)"),
])
def test_stages_look_at_what_they_need(project, command, line):
    project.make("shard", "train", "generate", pairs=("de",))
    done = refrain.run(
        "study", command, exit_code=2 if command == "judge" else 1, binaries=project.root / "bin",
        REFRAIN_HOME=refrain.SOURCE, REFRAIN_MODEL=project.root / "model", REFRAIN_RUNS=project.folder,
        REFRAIN_STUDY="dpo_8b_de", REFRAIN_SWEEP="paper", REFRAIN_GUARDS=f"llama-guard-3='{project.root}/guard'",
        REFRAIN_ADJUDICATOR=f"'{project.root}/adjudicator'", REFRAIN_JUDGE="llama" if command == "judge" else "",
        REFRAIN_REPORTS="/none/report.html")
    check_line("study", done.stderr, line.replace("RUNS", str(project.folder)))


def make_all_with_records(project):
    """A study that is complete, with the records of what it was made with."""
    project.content.update(train_args="--epochs 1 --micro-batch-tokens 4096", generate_args="--max-new-tokens 64",
                           judges={"llama-guard-3": str(project.root / "guard"), "refusal-pattern": None})
    project.run()
    refrain.run("study", "shard", "dpo_8b_balanced", "dpo_8b_de", binaries=project.root / "bin", **project.variables,
                REFRAIN_RUNS=project.folder, REFRAIN_SWEEP="paper", REFRAIN_MODEL=project.root / "model",
                REFRAIN_PAIRS=project.content["pairs"], REFRAIN_PROMPTS=project.content["prompts"])
    for stage in ("train", "generate", "judge", "adjudicate", "report", "archive"):
        project.make(stage)
    project.end()
    for folder in (project.folder / "dpo_8b_balanced" / MEMBER, project.folder / "dpo_8b_de" / MEMBER):
        project.record(folder, f"srun --ntasks=4 /old/refrain-train --init '{project.root}/model' --tensor-parallel 4 "
                               "--beta 0.1 --learning-rate 0.000001 --seed 42 --loss sigmoid --epochs=1.0 "
                               "--micro-batch-tokens 8192")
        project.record(folder, "/old/refrain-train --epochs 7", "failed")
        project.record(folder / "responses.h5", "refrain-generate --max-new-tokens 64 --prompts "
                                                f"'{project.folder}/base/model/prompts.h5'")
        project.record(folder / "verdicts/llama-guard-3.h5", "refrain-judge --judge llama-guard-3 --tensor-parallel 2 "
                                                             f"--checkpoint '{project.root}/guard'")
        project.record(folder / "verdicts/adjudicator.h5", "refrain-judge --judge adjudicator --checkpoint "
                                                           f"'{project.root}/adjudicator'")
        (folder / "verdicts/adjudicator.h5").write_text("{}")
    return project.submitted()


TRAIN_AGAIN = "[RUN] (give the study's file another name, or remove this folder to train it again)"
JUDGE_AGAIN = "(give the study's file another name, or remove these verdicts of all models to make them again)"
ANSWER_AGAIN = ("[RUN/responses.h5] (give the study's file another name, or remove it, verdicts.h5 and verdicts/ beside it to "
                "make them again)")
OTHER_FILES = "of other files or options of refrain-shard than the study names"


@pytest.mark.parametrize("changes, line", [
    ({"train_args": "--epochs 3"},
     f"8b/train/balanced was made with --epochs 1.0, and the study says --epochs 3 {TRAIN_AGAIN}"),
    ({"train_args": ""}, f"8b/train/balanced was made with --epochs 1.0, which the study does not say {TRAIN_AGAIN}"),
    ({"train_args": "--epochs 1 --max-steps 9"},
     f"8b/train/balanced was made without --max-steps, and the study says --max-steps 9 {TRAIN_AGAIN}"),
    ({"pairs": "ROOT/other.jsonl"}, f"8b/train/balanced was trained on pairs.h5 {OTHER_FILES} {TRAIN_AGAIN}"),
    ({"prompts": "ROOT/other.jsonl"}, f"8b/generate/balanced was made with prompts.h5 {OTHER_FILES} {ANSWER_AGAIN}"),
    ({"generate_args": "--max-new-tokens 128"}, "8b/generate/balanced was made with --max-new-tokens 64, and the study says "
                                                f"--max-new-tokens 128 {ANSWER_AGAIN}"),
    ({"judges": {"llama-guard-3": "ROOT/other guard"}},
     "8b/judge/llama-guard-3 was made with --checkpoint 'ROOT/guard', and the study says --checkpoint 'ROOT/other guard' "
     f"[RUN/verdicts/llama-guard-3.h5] {JUDGE_AGAIN}"),
    ({"adjudicator": {"folder": "ROOT/guard"}},
     "8b/adjudicate was made with --checkpoint 'ROOT/adjudicator', and the study says --checkpoint 'ROOT/guard' "
     f"[RUN/verdicts/adjudicator.h5] {JUDGE_AGAIN}"),
])
def test_what_is_made_with_other_settings_is_told_before_anything_is_submitted(project, changes, line):
    make_all_with_records(project)
    (project.root / "other.jsonl").write_text('{"id": "other"}\n')
    project.content.update(json.loads(json.dumps(changes).replace("ROOT", str(project.root))))
    for words in ([], ["--dry-run"], ["--wave"]):
        _, err = project.run(*words, exit_code=1)
        check_line("study", err, line.replace("RUN", str(project.folder / "dpo_8b_balanced" / MEMBER))
                                     .replace("ROOT", str(project.root)))
    assert project.submitted() == []


def test_what_may_change_in_a_complete_study_goes_through(project):
    make_all_with_records(project)
    complete = f"the study is complete: {project.root}/runs/trial.h5\n"
    assert project.run()[0] == complete
    (project.root / "link").symlink_to(project.root / "guard")
    project.content.update(train_args="--epochs 1 --zero 2", launcher="mpirun -n 2", tensor_parallel=2,
                           sbatch={"train": "--nodes=2"})
    project.content["judges"]["llama-guard-3"] = str(project.root / "link")
    assert project.run() == (complete, "")

    # A member that is trained again from nothing, as the refusal says.
    run = project.folder / "dpo_8b_de" / MEMBER
    shutil.rmtree(run)
    project.content["train_args"] = "--epochs 3"
    _, err = project.run(exit_code=1)
    assert "8b/train/balanced was made with" in err
    shutil.rmtree(project.folder / "dpo_8b_balanced" / MEMBER)
    project.run()
    assert [name for name, _, _ in project.submitted()][:4] == ["8b.train.balanced", "8b.generate.balanced",
                                                                "8b.train.de", "8b.generate.de"]
