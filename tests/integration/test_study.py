"""refrain-study member away from Slurm and MPI: small stand-ins for refrain-shard and refrain-train beside it."""

import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest
import refrain
from refrain import check_line
from study_project import calls, environment, project, slurm, wait_for


def start(root, *words, name="dpo_8b_balanced", **extra):
    return subprocess.Popen([root / "bin/refrain-study", "member", name, *map(str, words)],
                            env=environment(root, **extra), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            cwd=root)


def member(root, *words, exit_code=0, **keywords):
    process = start(root, *words, **keywords)
    out, err = process.communicate(timeout=60)
    assert process.returncode == exit_code, err
    return out, err


def run_dir(root, name="dpo_8b_balanced", member="beta=0.1,lr=1e-6,seed=42"):
    return root / "runs" / name / member


def test_a_member_is_sharded_trained_and_not_trained_again(project):
    _, err = member(project, REFRAIN_TRAIN_ARGS="--epochs 1 --checkpoint-minutes '5'", REFRAIN_TENSOR_PARALLEL="2")
    lines = calls(project)
    assert lines[0] == "shard" and len(lines) == 2
    words = json.loads(lines[1].removeprefix("train "))
    assert words == ["--pairs", f"{project}/runs/dpo_8b_balanced/pairs.h5", "--init", f"{project}/model",
                     "--run-dir", str(run_dir(project)), "--tensor-parallel", "2", "--beta", "0.1",
                     "--learning-rate", "1e-6", "--seed", "42", "--loss", "sigmoid",
                     "--reference-cache", f"{project}/runs/reference-cache", "--epochs", "1",
                     "--checkpoint-minutes", "5"]
    assert f"env '{project}/bin/refrain-train' --pairs" in err  # the exact line

    _, err = member(project)
    assert "this member has finished already" in err
    assert len(calls(project)) == 2


def test_members_take_their_row_of_the_table(project):
    sweep = project / "my sweep.json"
    sweep.write_text('{"grid": {"beta": [0.1, 0.5], "learning_rate": [1e-6], "seed": [1, 2]}}')
    member(project, "--index", 2, REFRAIN_SWEEP=str(sweep))
    assert run_dir(project, member="beta=0.5,lr=1e-6,seed=1").is_dir()
    member(project, SLURM_ARRAY_TASK_ID="0", REFRAIN_SWEEP=str(sweep))  # without SLURM_JOB_ID this is no job
    assert run_dir(project, member="beta=0.1,lr=1e-6,seed=1").is_dir()
    _, err = member(project, "--index", 4, exit_code=2, REFRAIN_SWEEP=str(sweep))
    check_line("study", err, f"the sweep has no member 4, only 4 [{sweep}] (give --index 0 to 3)")
    _, err = member(project, exit_code=2, REFRAIN_SWEEP=str(sweep), SLURM_JOB_ID="7", SLURM_ARRAY_TASK_ID="4")
    check_line("study", err, f"the sweep has no member 4, only 4 [{sweep}] (sbatch --array=0-3 "
                             "slurm/dpo_8b_balanced.sh)")


def train_words(root):
    return json.loads(calls(root)[-1].removeprefix("train "))


def test_members_differ_in_any_option(project):
    sweep = project / "sweep.json"
    sweep.write_text('{"members": [{"lora_rank": 8, "lora_targets": ["q_proj", "v_proj"], "loss": "ipo"}, '
                     '{"loss": "sft"}]}')
    member(project, REFRAIN_SWEEP=str(sweep))
    words = train_words(project)
    assert words[words.index("--seed") + 2:] == ["--lora-rank", "8", "--lora-targets", "q_proj", "v_proj", "--loss", "ipo",
                                                "--reference-cache", f"{project}/runs/reference-cache"]
    folder = "beta=0.1,lr=1e-6,seed=42,lora-rank=8,lora-targets=q_proj+v_proj,loss=ipo"
    assert run_dir(project, member=folder).is_dir()
    member(project, "--index", 1, REFRAIN_SWEEP=str(sweep))
    assert "--reference-cache" not in train_words(project)  # without a reference there is nothing to share
    _, err = member(project, exit_code=1, REFRAIN_SWEEP=str(sweep), REFRAIN_RUNS=str(project / "other"),
                    REFRAIN_TRAIN_ARGS="--lora-rank 4")
    check_line("study", err, "REFRAIN_TRAIN_ARGS sets --lora-rank, which the study sets itself (take it out; the sweep "
                             "(REFRAIN_SWEEP) sets beta, learning rate, seed and what its table names)")


def test_held_out_pairs_are_evaluated(project):
    out, _ = member(project, "--dry-run", REFRAIN_SHARD_ARGS="--dev-fraction 0.1")
    shard, train = out.splitlines()
    dev = f"'{project}/runs/dpo_8b_balanced/dev.h5'"
    assert f" --dev-out {dev} --dev-fraction 0.1" in shard and train.endswith(f" --eval-pairs {dev}")


def test_a_dry_run_prints_two_lines_and_starts_nothing(project):
    out, _ = member(project, "--dry-run", "--launcher", "mpirun -n 2")
    shard, train = out.splitlines()
    assert shard.endswith(f"refrain-shard' --pairs '{project}/pairs 1.jsonl' --tokenizer '{project}/model' "
                          f"--configuration balanced --out '{project}/runs/dpo_8b_balanced/pairs.h5'")
    assert train.startswith(f"mpirun -n 2 '{project}/bin/refrain-train' --pairs ")
    assert not calls(project) and not (project / "runs").exists()


def test_members_that_start_together_shard_once(project):
    started = [start(project, "--index", index) for index in (0, 1)]
    for process in started:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert calls(project).count("shard") == 1
    assert sum(line.startswith("train") for line in calls(project)) == 2


def test_other_pairs_are_sharded_anew_until_a_member_has_begun(project):
    member(project, exit_code=1, FAKE="shard-fails")
    member(project, "--index", 1, exit_code=1, FAKE="fail")  # sharded; the stand-in leaves run.json
    shutil.rmtree(run_dir(project, member="beta=0.1,lr=5e-7,seed=42"))
    (project / "pairs 1.jsonl").write_text('{"other": 1}\n')
    member(project)
    assert calls(project).count("shard") == 3
    _, err = member(project, "--index", 1, exit_code=1, REFRAIN_SHARD_ARGS="--max-length 64")
    check_line(
        "study", err,
        "pairs.h5 was made from other files or options than REFRAIN_PAIRS and REFRAIN_SHARD_ARGS name now, and "
        f"beta=0.1,lr=1e-6,seed=42 has begun to train on it [{project}/runs/dpo_8b_balanced] (set REFRAIN_RUNS to "
        "another folder, or remove this one)")


@pytest.mark.parametrize("sent", [signal.SIGUSR1, signal.SIGTERM])
@pytest.mark.parametrize("stop_code", [85, 137])  # srun may kill the last ranks that stop
def test_a_signal_reaches_the_step_and_85_the_caller(project, sent, stop_code):
    process = start(project, FAKE="wait", STOP_CODE=str(stop_code))
    wait_for(project, "waiting")
    process.send_signal(sent)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 85, err
    assert json.loads((run_dir(project) / "status.json").read_text())["state"] == "stopped"
    member(project)  # goes on
    starts = [json.loads(line) for line in pathlib.Path(f"{run_dir(project)}.starts.jsonl").read_text().splitlines()]
    assert [line["ending"] for line in starts] == ["stopped", "finished"]


@pytest.mark.parametrize("fake", ["killed", "killed early"])
def test_a_step_that_dies_is_told_in_status_json(project, fake):
    _, err = member(project, exit_code=1, FAKE=fake)
    check_line("study", err, f"training ended with exit code 137 (signal 9) [{run_dir(project)}] (its lines are above; "
                             "the same command goes on from the last checkpoint)")
    status = json.loads((run_dir(project) / "status.json").read_text())
    assert (status["state"], status["error"]) == ("failed", "training ended with exit code 137 (signal 9)")


def test_an_old_stop_does_not_excuse_a_new_failure(project):
    process = start(project, FAKE="wait")
    wait_for(project, "waiting")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=20) == 85
    member(project, exit_code=1, FAKE="fail")


def stop(project, **variables):
    process = start(project, FAKE="wait", **variables)
    count = calls(project).count("waiting")
    for _ in range(200):
        if calls(project).count("waiting") > count:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=20)
    return process.returncode, err


def test_a_stopped_member_is_requeued_alone(project, slurm):
    code, err = stop(project, **slurm)
    assert code == 85
    assert "scontrol requeue 6_1" in calls(project)
    assert "requeued job 6_1" in err and "OMP_NUM_THREADS=2 SLURM_PMIX_FENCE=ring env" in err


def test_where_requeue_is_refused_the_index_is_submitted_again(project, slurm):
    code, err = stop(project, REQUEUE="refused", **slurm)
    assert code == 85
    assert ("sbatch --parsable --dependency=afterany:6_1 --array=1 --nodes=1 --ntasks-per-node=4 --job-name=x /home/a "
            "b/slurm/x.sh"
            in calls(project))
    assert [line for line in calls(project) if line.startswith("SLURM_")] == ["SLURM_CONF=/etc/slurm.conf"]
    assert "requeue is refused here; submitted again as job 99" in err


def test_a_requeue_that_kills_the_one_who_asked_is_none_refused(project, slurm):
    code, err = stop(project, REQUEUE="kills", **slurm)
    assert code == 85 and err.endswith("requeued job 6_1\n")
    assert not any(line.startswith("sbatch") for line in calls(project))


def test_a_cancelled_job_stays_cancelled(project, slurm):
    code, err = stop(project, JOB_STATE="CANCELLED", **slurm)
    assert code == 85 and "job 6_1 was cancelled and is not requeued" in err
    assert "scontrol requeue 6_1" not in calls(project)


def test_a_job_that_makes_no_step_is_not_requeued_for_ever(project, slurm):
    for _ in range(2):
        assert stop(project, PROGRESS="1", **slurm)[0] == 85
    for _ in range(2):
        assert stop(project, **slurm)[0] == 85
    code, err = stop(project, **slurm)
    assert code == 1
    run = run_dir(project, member="beta=0.1,lr=5e-7,seed=42")
    check_line("study", err, "three restarts in a row have come no further than step 2, so the job is not requeued "
                             f"[{run}] (give it more time than start and --signal take: sbatch --time=4:00:00 "
                             "slurm/dpo_8b_balanced.sh)")
    assert calls(project).count("scontrol requeue 6_1") == 4


def test_an_allocation_that_does_not_suit_starts_nothing(project, slurm):
    _, err = member(project, exit_code=1, **{**slurm, "SLURM_TASKS_PER_NODE": "3"})
    check_line("study", err, "job 6_1 has 3 tasks, which do not divide into groups of 4 (tensor parallel) (sbatch "
                             "--array=1 --nodes=1 --ntasks-per-node=4 slurm/dpo_8b_balanced.sh)")
    assert not calls(project)


def test_an_array_that_fills_the_disk_is_throttled(project, slurm):
    header = json.dumps({"w": {"dtype": "F32", "shape": [1000, 500], "data_offsets": [0, 2000000]}}).encode()
    (project / "model/model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    # 28 bytes a parameter and member: two checkpoints of 12, and final/ of 4.
    variables = {**slurm, "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "2"}
    _, err = member(project, exit_code=1, REFRAIN_DISK_TB="0.00003", **variables)
    check_line("study", err, "3 members at once may write 40.1 MiB, more than REFRAIN_DISK_TB allows (28.6 MiB) "
                             "(sbatch --array=0-2%2 slurm/dpo_8b_balanced.sh)")
    member(project, REFRAIN_DISK_TB="0.00005", **variables)


NAMES = "|".join(["dpo_8b", "70b_balanced", "high_resource", "english_only", "no_english", "balanced_matched",
                  "english_only_long", *"en de fr it es pt pl cs sk sl lt lv".split()])


@pytest.mark.parametrize("words, variables, line, exit_code", [
    (["--index", "-1"], {}, "--index: -1 is out of range (give a whole number of at least 0)", 2),
    (["--index"], {}, "option --index needs a value (write --index N)", 2),
    (["--indx", "1"], {}, "unknown option --indx (did you mean --index?)", 2),
    ([], {"name": "dpo_9b_balanced"}, f"there is no configuration 'dpo_9b_balanced' (names are {NAMES})", 2),
    ([], {"REFRAIN_MODEL": "", "REFRAIN_PAIRS": ""},
     "not set: REFRAIN_MODEL, REFRAIN_PAIRS (export in env/site.sh or the submitting shell: REFRAIN_MODEL=the Hugging "
     "Face folder or checkpoint to start from, REFRAIN_PAIRS=the preference files)", 2),
    ([], {"REFRAIN_MODEL": "/none"},
     "REFRAIN_MODEL names no folder [/none] (set it to a Hugging Face folder or a checkpoint)", 2),
    ([], {"REFRAIN_PAIRS": "/none"},
     "REFRAIN_PAIRS names a file that does not exist [/none] (quote paths that hold spaces)", 2),
    ([], {"REFRAIN_TENSOR_PARALLEL": "0"},
     "REFRAIN_TENSOR_PARALLEL is '0', not a number above 0 (set it to a number such as 4)", 2),
    ([], {"REFRAIN_SWEEP": "mine"},
     f"there is no sweep 'mine' [{refrain.SOURCE}/slurm/sweeps] (set REFRAIN_SWEEP to a path or one of: "
     "beta_by_learning_rate, beta_by_learning_rate_by_seed, default, paper)", 2),
    ([], {"REFRAIN_TRAIN_ARGS": "--beta 1"},
     "REFRAIN_TRAIN_ARGS sets --beta, which the study sets itself (take it out; the sweep (REFRAIN_SWEEP) sets beta, "
     "learning rate, seed and what its table names)", 1),
    ([], {"REFRAIN_TRAIN_ARGS": "'open"}, "REFRAIN_TRAIN_ARGS has a ' that is not closed (close it, or write \\')", 1),
    ([], {"REFRAIN_LAUNCHER": "srun"},
     'the launcher is srun, but this is no Slurm job (start it by sbatch, or give --launcher "mpirun -n 2")', 1),
    ([], {"REFRAIN_LAUNCHER": "no-such-launcher -n 2"},
     "the launcher 'no-such-launcher' is not in PATH (load the MPI module in env/site.sh, or set REFRAIN_LAUNCHER)", 1),
])
def test_bad_settings_are_one_line(project, words, variables, line, exit_code):
    _, err = member(project, *words, exit_code=exit_code, **variables)
    check_line("study", err, line)
    assert not calls(project)


SWEEPS = {
    "": "the file is empty, where JSON is wanted [{file}] (make it again)",
    "{": "broken JSON: syntax error while parsing object key - unexpected end of input; expected string literal "
         "[{file}:line 1, column 2] (correct the file or make it again)",
    "[]": "the sweep has neither a list 'members' nor an object 'grid', or both [{file}] (write one of the two; "
          "docs/sweeps.md shows them)",
    '{"members": []}': "the sweep has no members [{file}:members] (give it one at least)",
    '{"members": [1]}': 'a member is 1, not an object [{file}] (write {{"beta": 0.1, "learning_rate": 1e-6}})',
    '{"members": [{"beta": 0.1}, {"beta": 0.1}]}': "two members of the sweep are beta=0.1,lr=1e-6,seed=42 and would "
                                                   "share a folder [{file}] (take one out)",
    '{"grid": {"beta": 0.1}}': "grid.beta is not a list of values [{file}:beta] (write [0.1, 0.3])",
    '{"grid": {"beta": [0]}}': "beta is 0, not a number above 0 [{file}:beta] (correct the table)",
    '{"grid": {"seed": [-1]}}': "seed is -1, not a whole number from 0 [{file}:seed] (correct the table)",
    '{"grid": {"gamma": [1]}}': "'gamma' is no option of refrain-train [{file}:gamma] (docs/options.md lists them)",
    '{"grid": {"lora_rnak": [1]}}': "'lora_rnak' is no option of refrain-train [{file}:lora_rnak] (did you mean "
                                    "lora-rank?)",
    '{"members": [{"run_dir": "x"}]}': "the sweep sets run_dir, which the study sets itself [{file}:run_dir] (take it "
                                       "out of the table)",
    '{"members": [{"loss": "sigmod"}]}': 'loss is "sigmod", not one of sigmoid, ipo, hinge, robust, sft [{file}:loss] '
                                         "(did you mean sigmoid?)",
}


@pytest.mark.parametrize("text", SWEEPS)
def test_bad_sweeps_are_one_line(project, text):
    file = project / "sweep.json"
    file.write_text(text)
    _, err = member(project, exit_code=1, REFRAIN_SWEEP=str(file))
    check_line("study", err, SWEEPS[text].format(file=file))


def test_the_world_of_a_launcher_is_checked():
    words = refrain.command("shard", ranks=2)
    for ranks, code in ((2, 0), (3, 1)):
        done = subprocess.run(words, env=refrain.environment(REFRAIN_CHECK_WORLD=ranks), capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == code, done.stderr
    assert "refrain-shard: MPI has 2 ranks instead of 3" in done.stderr


def test_scripts_differ_in_what_their_names_say():
    table = json.loads((refrain.SOURCE / "src/study/configurations.json").read_text())
    names = ["_".join(parts) for parts in itertools.product(table["methods"], table["sizes"], table["pairs"])]
    scripts = {path.stem: path.read_text() for path in (refrain.SOURCE / "slurm").glob("dpo_*.sh")}
    assert sorted(scripts) == sorted(names)
    model = scripts["dpo_70b_balanced"]
    for name, text in scripts.items():
        size = table["sizes"][name.split("_")[1]]
        expected = model.replace("dpo_70b_balanced", name)
        for directive, value in {"nodes": size["nodes"], "ntasks-per-node": size["tasks_per_node"]}.items():
            expected = re.sub(rf"--{directive}=\d+", f"--{directive}={value}", expected)
        assert text == expected, name
        directives = re.findall(r"^#SBATCH --([a-z-]+)", text, re.MULTILINE)
        assert directives == ["job-name", "nodes", "ntasks-per-node", "array", "requeue", "signal", "open-mode",
                              "output"]
        assert os.access(refrain.SOURCE / f"slurm/{name}.sh", os.X_OK)
