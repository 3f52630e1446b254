"""refrain-study submit away from Slurm: stand-ins for sbatch, squeue and scontrol that write down how they were called."""

import json
import os
import subprocess

import pytest
import refrain
from disks import read_only_disk
from refrain import check_line
from run_folders import seal
from study_project import MEMBERS, STUDY, calls, environment, executable, make_project

SBATCH = """#!/bin/sh
echo "REFRAIN_SWEEP=$REFRAIN_SWEEP sbatch $*" >> "$CALLS"
[ -z "$REFUSAL" ] || { echo "sbatch: error: $REFUSAL" >&2; exit 1; }
echo 17
"""
SQUEUE = """#!/bin/sh
[ ! -f "$QUEUE" ] || cat "$QUEUE"
"""
SCONTROL = """#!/bin/sh
[ "$*" = "show config" ] && printf 'MaxArraySize            = 1001\\nMaxJobCount             = %s\\n' "${MAX_JOBS:-10000}"
"""


@pytest.fixture
def project(tmp_path):
    root = make_project(tmp_path)
    for name, text in {"sbatch": SBATCH, "squeue": SQUEUE, "scontrol": SCONTROL}.items():
        executable(root / name, text)
    return root


def submit(root, *words, exit_code=0, name=STUDY, **extra):
    """What it printed and said."""
    variables = {"PATH": f"{root}:{os.environ['PATH']}", "QUEUE": str(root / "queue"), **extra}
    done = subprocess.run([root / "bin/refrain-study", "submit", name, *map(str, words)], capture_output=True, cwd=root,
                          text=True, env=environment(root, **variables), timeout=60)
    assert done.returncode == exit_code, done.stderr
    return done.stdout, done.stderr


def write_sweep(root, betas=4):
    file = root / "betas.json"
    file.write_text(json.dumps({"grid": {"beta": [(i + 1) / 10 for i in range(betas)]}}))
    return file


def run_dir(root, member):
    return root / "runs" / STUDY / (member if isinstance(member, str) else f"beta=0.{member + 1},lr=1e-6,seed=42")


def set_state(root, member, state):
    """A run folder as refrain-train leaves it."""
    folder = run_dir(root, member)
    folder.mkdir(parents=True, exist_ok=True)
    seal(folder / "status.json", {"state": state, "step": 9})
    if state == "finished":
        (folder / "final").mkdir()
        (folder / "final/manifest.json").write_text("{}")


def queue(root, *lines):
    """`lines`: array, index, state."""
    (root / "queue").write_text("".join(f"{line} {line.split()[0]} {STUDY}\n" for line in lines))


def line(array, sweep, *more):
    words = " ".join([*([f"--array={array}"] if array else []), *more, "--export=ALL"])
    return f"REFRAIN_SWEEP={sweep} sbatch --parsable {words} {refrain.SOURCE}/slurm/{STUDY}.sh"


def test_the_array_is_that_of_the_table(project):
    out, err = submit(project)
    assert out == "17\n"
    assert calls(project) == [line("0-1", "default")]
    assert f"{STUDY}, sweep default: 0-1 to be trained" in err and line("0-1", "default") in err
    record, = json.loads((project / f"runs/{STUDY}/submissions.json").read_text())["submissions"]
    assert record["job"] == "17" and record["sweep"] == "default"
    assert record["members"] == dict(zip("01", MEMBERS))


def test_a_dry_run_prints_the_line_and_leaves_nothing(project):
    sweep = write_sweep(project)
    out, _ = submit(project, "--sweep", sweep, "--dry-run", "--after", "12")
    assert out == line("0-3", f"'{sweep}'", "--dependency=afterok:12", "--kill-on-invalid-dep=yes") + "\n"
    assert not calls(project) and not (project / "runs").exists()


def test_what_has_finished_or_is_under_way_is_left_out(project):
    sweep = write_sweep(project, betas=7)
    submit(project, "--sweep", sweep)
    set_state(project, 0, "finished")
    set_state(project, 2, "failed")
    set_state(project, 3, "running")  # and its job is gone
    queue(project, "17 1 RUNNING", "17 5 PENDING")
    out, err = submit(project, "--sweep", sweep, "--dry-run")
    assert out == line("2-4,6", f"'{sweep}'") + "\n"
    assert ": 0 finished, 1,5 under way (job 17_1), 2 failed, 3-4,6 to be trained" in err

    out, _ = submit(project, "--sweep", sweep, "--failed")
    assert calls(project)[-1].startswith(f"REFRAIN_SWEEP={sweep} sbatch --parsable --array=2 ")
    set_state(project, 2, "finished")
    out, err = submit(project, "--sweep", sweep, "--failed")
    assert out == "" and "no member has failed: nothing to submit" in err


def test_a_failed_member_that_is_under_way_again_is_not_submitted(project):
    set_state(project, MEMBERS[1], "failed")
    queue(project, "99 1 PENDING")  # by hand
    out, err = submit(project, "--failed")
    assert out == "" and not calls(project)
    assert "sweep default: 1 under way (job 99_1), 0 to be trained" in err


@pytest.mark.parametrize("fake", ["refused", "shard-fails"])
def test_a_member_that_came_to_no_training_has_failed(project, fake):
    """It left no status.json, but its start is on record."""
    slurm = {"SLURM_JOB_ID": "7", "SLURM_TASKS_PER_NODE": "1", "SLURM_JOB_CPUS_PER_NODE": "8"}
    done = subprocess.run([project / "bin/refrain-study", "member", STUDY, "--index", "1"], cwd=project, text=True,
                          capture_output=True, timeout=60,
                          env=environment(project, FAKE=fake, REFRAIN_TENSOR_PARALLEL="1", **slurm))
    assert done.returncode == 1 and not (run_dir(project, MEMBERS[1]) / "status.json").exists()
    submit(project, "--failed")
    assert "--array=1 " in calls(project)[-1]


def test_another_sweep_of_the_configuration_is_another(project):
    submit(project)
    queue(project, "17 0 RUNNING", "17 1 PENDING")
    sweep = write_sweep(project, betas=3)  # its member 0 is the default's, its member 1 another
    out, _ = submit(project, "--sweep", sweep, "--dry-run")
    assert out == line("1-2", f"'{sweep}'") + "\n"


def test_a_sweep_that_has_finished_is_not_submitted(project):
    for member in MEMBERS:
        set_state(project, member, "finished")
    out, err = submit(project)
    assert out == "" and not calls(project) and "all members have finished: nothing to submit" in err


def test_the_second_of_two_submits_says_who_has_the_sweep(project):
    submit(project)
    queue(project, "17 0 RUNNING", "17 1 PENDING")
    _, err = submit(project, exit_code=1)
    check_line("study", err, "all members of this sweep that have not finished are under way: job 17_0 has member 0 "
                             f"[{project}/runs/{STUDY}] (wait for it, or scancel it)")
    assert len(calls(project)) == 1


def test_two_submits_at_the_same_moment(project):
    """The second waits for nothing and submits nothing while the first is at it."""
    executable(project / "sbatch", "#!/bin/sh\necho called >> \"$CALLS\"\nsleep 3\necho 17\n")
    variables = {"PATH": f"{project}:{os.environ['PATH']}", "QUEUE": str(project / "queue")}
    first = subprocess.Popen([project / "bin/refrain-study", "submit", STUDY], cwd=project, text=True,
                             env=environment(project, **variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not calls(project):
        assert first.poll() is None
    _, err = submit(project, exit_code=1)
    assert f"{project}/runs/{STUDY}/submit.lock" in err and "process" in err
    out, err = first.communicate(timeout=60)
    assert out == "17\n", err
    assert calls(project) == ["called"]


def test_the_throttle_is_what_the_disk_allows(project):
    header = json.dumps({"w": {"dtype": "F32", "shape": [1000, 500], "data_offsets": [0, 2000000]}}).encode()
    (project / "model/model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    sweep = write_sweep(project)  # 14 MB a member
    for disk, array in (("0.00003", "0-3%2"), ("0.00006", "0-3"), ("0.000015", "0-3%1")):
        out, _ = submit(project, "--sweep", sweep, "--dry-run", REFRAIN_DISK_TB=disk)
        assert out == line(array, f"'{sweep}'") + "\n"
    # An adapter is small, and the sweep's largest decides.
    name = "model.layers.0.self_attn.q_proj.weight"
    header = json.dumps({name: {"dtype": "F32", "shape": [1000, 500], "data_offsets": [0, 2000000]}}).encode()
    (project / "model/model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    for ranks, array in (([8, 16], "0-1"), ([8, 32], "0-1%1")):  # 42 kB a rank
        adapters = project / "adapters.json"
        adapters.write_text(json.dumps({"grid": {"lora_rank": ranks}}))
        out, _ = submit(project, "--sweep", adapters, "--dry-run", REFRAIN_DISK_TB="0.0000014")
        assert out == line(array, f"'{adapters}'") + "\n"
    out, _ = submit(project, "--sweep", sweep, "--dry-run", REFRAIN_DISK_TB="0.0000014", REFRAIN_TRAIN_ARGS="--lora-rank 8")
    assert out == line("0-3", f"'{sweep}'") + "\n"
    _, err = submit(project, "--dry-run", exit_code=1, REFRAIN_DISK_TB="0.00001")
    check_line("study", err, "1 member at once may write 13.4 MiB, more than REFRAIN_DISK_TB allows (9.5 MiB) (raise "
                             "REFRAIN_DISK_TB: one member needs 13.4 MiB)")


def test_the_sites_limit_on_jobs(project):
    sweep = write_sweep(project)
    queue(project, "3 N/A RUNNING", "4 N/A PENDING")
    out, err = submit(project, "--sweep", sweep, "--dry-run", REFRAIN_MAX_JOBS="5")
    assert out == line("0-2", f"'{sweep}'") + "\n"
    assert "the site has no room for members 3 yet: the same command submits them later" in err
    executable(project / "sacctmgr", "#!/bin/sh\n[ $1 = --noheader ] && printf '%s\\n' '' 900 4\n")  # two associations
    out, _ = submit(project, "--sweep", sweep, "--dry-run")
    assert out == line("0-1", f"'{sweep}'") + "\n"
    _, err = submit(project, "--sweep", sweep, exit_code=1, MAX_JOBS="2")
    check_line("study", err, "the site lets one user have 2 jobs (MaxJobCount of slurm.conf), and there are 2 (submit "
                             "again when some have ended)")
    assert not calls(project)


def test_a_refusal_of_sbatch_is_told_with_the_line(project):
    _, err = submit(project, exit_code=1, REFUSAL="Batch job submission failed: Invalid account")
    script = f"{refrain.SOURCE}/slurm/{STUDY}.sh"
    check_line("study", err, f"sbatch refuses: Batch job submission failed: Invalid account [{script}] (when that is put "
                             f"right: {line('0-1', 'default')})")
    assert not (project / f"runs/{STUDY}/submissions.json").exists()


def test_runs_on_a_disk_that_cannot_be_written(project, tmp_path):
    with read_only_disk(tmp_path / "disk") as disk:
        _, err = submit(project, exit_code=1, REFRAIN_RUNS=str(disk / "runs"))
        check_line("study", err, f"cannot make the folder: Read-only file system [{disk}/runs/{STUDY}] (check the "
                                 "path and its permissions)")
    assert not calls(project)


@pytest.mark.parametrize("words, variables, text, exit_code", [
    ([], {"name": "dpo_9b_balanced"}, "there is no configuration 'dpo_9b_balanced' ", 2),
    (["--sweep", "mine"], {}, f"there is no sweep 'mine' [{refrain.SOURCE}/slurm/sweeps] (set REFRAIN_SWEEP to a path or "
                              "one of: ", 2),
    (["--after", "soon"], {}, "--after is 'soon', not the id of a job (give a number as sbatch prints it)", 2),
    ([], {"REFRAIN_RUNS": ""}, "not set: REFRAIN_RUNS (export in env/site.sh or the submitting shell: REFRAIN_RUNS=the "
                               "folder for run folders)", 2),
    ([], {"REFRAIN_MAX_JOBS": "lots"}, "REFRAIN_MAX_JOBS is 'lots', not a whole number above 0 (set it to the number of "
                                       "jobs that the site lets one user have, such as 200)", 2),
    ([], {"REFRAIN_TRAIN_ARGS": "--epohcs 1"}, "REFRAIN_TRAIN_ARGS has --epohcs, which is no option of refrain-train (did "
                                               "you mean --epochs?)", 1),
    (["--dry-run"], {"REFRAIN_TRAIN_ARGS": "--beta 0.3"},
     "REFRAIN_TRAIN_ARGS sets --beta, which the study sets itself (take it out; the sweep (REFRAIN_SWEEP) sets beta, "
     "learning rate, seed and what its table names)", 1),
    ([], {"REFRAIN_SHARD_ARGS": "--max-lenght 7"}, "REFRAIN_SHARD_ARGS has --max-lenght, which is no option of "
                                                   "refrain-shard (did you mean --max-length?)", 1),
    ([], {"REFRAIN_LAUNCHER": "mpirn"}, "the launcher 'mpirn' is not in PATH (load the MPI module in env/site.sh, or set "
                                        "REFRAIN_LAUNCHER)", 1),
    (["--fail"], {}, "unknown option --fail (did you mean --failed?)", 2),
])
def test_bad_requests_are_one_line(project, words, variables, text, exit_code):
    _, err = submit(project, *words, exit_code=exit_code, **variables)
    last = err.splitlines()[-1]
    assert last.startswith(f"refrain-study: {text}") and (not text.endswith(")") or last == f"refrain-study: {text}")
    assert not calls(project)


def test_a_dry_run_needs_no_answer_of_squeue(project):
    (project / "squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1\n")
    out, err = submit(project, "--dry-run")
    assert " sbatch --parsable --array=0-1 " in out and "what is under way is not known: squeue does not answer (slurm_load_jobs" in err


def test_without_slurm_it_says_so(project):
    for name in ("sbatch", "squeue", "scontrol"):
        (project / name).unlink()
    _, err = submit(project, exit_code=1, PATH=f"{project}:/nowhere")
    check_line("study", err, "sbatch is not in PATH (run this where jobs are submitted, or load the site's Slurm module)")
    assert not (project / "runs").exists()
