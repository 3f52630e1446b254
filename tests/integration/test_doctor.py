"""refrain-study doctor: nothing broken, then a broken thing of each kind and the line that tells of it."""

import pathlib
import re
import subprocess

import pytest
import refrain
from disks import read_only_disk, small_disk
from doctor_project import Project, lines_of, only_broken, only_warning
from study_project import executable

TOOLS = pathlib.Path(__file__).parent / "tools"
NO_ROOM = "free some space or write elsewhere"


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture(scope="session")
def bad_files(tmp_path_factory):
    library = tmp_path_factory.mktemp("bad-files") / "libbad_files.so"  # LD_PRELOAD parts at spaces
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, TOOLS / "bad_files.c", "-ldl"], check=True)
    return str(library)


def test_nothing_is_broken(project):
    text = re.sub(r"free space: \S+ \S+ free", "free space: some free", project.doctor())
    assert text == f"""\
ok       REFRAIN_MODEL: {project.root}/model, 1,024 parameters
ok       REFRAIN_PAIRS: 1 file, 3 B
ok       REFRAIN_SWEEP: {refrain.SOURCE}/slurm/sweeps/default.json, 2 members
ok       OMP_NUM_THREADS: not set: jobs take a thread for each CPU of a rank
ok       REFRAIN_RUNS: files are made, synced and renamed [{project.runs}]
ok       locks: of two processes one gets each of 64; hard links work
ok       free space: some free, and a member of the sweep may write 28.0 KiB
ok       refrain-convert: libtorch 2.13.0, HDF5 1.10.8
ok       refrain-shard: libtorch 2.13.0, HDF5 1.10.8
ok       refrain-train: libtorch 2.13.0, HDF5 1.10.8
ok       refrain-generate: libtorch 2.13.0, HDF5 1.10.8
ok       refrain-judge: libtorch 2.13.0, HDF5 1.10.8
ok       refrain-report: libtorch 2.13.0, HDF5 1.10.8
ok       refrain-archive: libtorch 2.13.0, HDF5 1.10.8
ok       GPUs: none here, and refrain-train is built for CPUs
ok       launcher: mpirun -n 2 starts a world of 2 ranks
ok       Slurm: not here: refrain-study member starts runs by mpirun
0 broken, 0 warnings, 17 ok
"""
    assert list(project.runs.iterdir()) == []


def test_nothing_is_broken_in_a_job(project):
    project.slurm()
    project.job()
    text = project.doctor()
    assert text.endswith("""\
ok       launcher: srun --mpi=pmix --kill-on-bad-exit=1 --export=ALL --nodes=2 --ntasks=4 --ntasks-per-node=2 \
--cpus-per-task=2 starts a world of 4 ranks on 2 nodes
ok       nodes: all 2 write to REFRAIN_RUNS
ok       Slurm: 22.05.8, cluster virtual
ok       JobRequeue: jobs may be requeued
ok       PreemptMode: OFF
ok       memory: is not counted
ok       MaxArraySize: indices up to 1000
ok       times: a requeued job starts after 10 s (cred_expire), a lost node is noticed after 300 s (SlurmdTimeout), \
SIGKILL follows SIGTERM after 30 s (KillWait)
ok       MPI types: pmix; MpiDefault is none, and srun is told which
ok       job 7: 4 tasks on 2 nodes, 2 CPUs a task, time limit 01:00:00
0 broken, 0 warnings, 25 ok
""")
    assert "ok       OMP_NUM_THREADS: not set: 2 threads a rank, its CPUs\n" in text
    assert list(project.runs.iterdir()) == []
    runs = project.root / "user's \"runs\" $HOME"
    runs.mkdir()
    assert "ok       nodes: all 2 write to REFRAIN_RUNS\n" in project.doctor(REFRAIN_RUNS=str(runs))
    assert list(runs.iterdir()) == []


# --- files

@pytest.mark.parametrize("fault, line", [
    ("rename", "cannot rename a file over another: Operation not permitted [{}] (check who owns it and its "
               "permissions)"),
    ("stale", "a file that was renamed over another is not there, but the old one [{}] (set it to a folder on another "
              "file system)"),
    ("sync", "cannot sync a file: Input/output error [{}] (set it to a folder on another file system)"),
    ("exclusive", "64 files were created exclusively by two processes 128 times [{}] (set it to a folder on another "
                  "file system)"),
])
def test_a_file_system_that_cannot_hold_runs(project, bad_files, fault, line):
    only_broken(project, "REFRAIN_RUNS: " + line.format(project.runs), LD_PRELOAD=bad_files, BAD_FILES=fault)
    assert list(project.runs.iterdir()) == []


def test_a_file_system_that_will_do(project, bad_files):
    text = project.doctor(LD_PRELOAD=bad_files, BAD_FILES="links")
    assert "ok       locks: of two processes one gets each of 64; no hard links, and none are needed\n" in text
    only_warning(project, "clock: the file system is 60 s ahead of this host (let its clock be set (NTP): a lock's age "
                          "is read by both)", LD_PRELOAD=bad_files, BAD_FILES="ahead")
    text = project.doctor(REFRAIN_RUNS=str(project.root / "new/runs"))
    assert (f"ok       REFRAIN_RUNS: is made when it is needed; in {project.root} files are made, synced and renamed "
            f"[{project.root}/new/runs]\n" in text)
    assert not (project.root / "new").exists()


def test_a_read_only_disk(project, tmp_path):
    with read_only_disk(tmp_path / "disk") as disk:
        only_broken(project, f"REFRAIN_RUNS: cannot make a folder in {disk}: Read-only file system [{disk}] (the file "
                             "system is read-only: write elsewhere)", REFRAIN_RUNS=str(disk), REFRAIN_DISK_TB="1e-6")


def test_a_folder_of_somebody_else(project):
    refrain.hand_over(project.root)
    (project.runs).chmod(0o500)
    text = project.doctor(unprivileged=True)
    assert lines_of(text, "broken") == [
        f"broken   REFRAIN_RUNS: cannot make a folder in {project.runs}: Permission denied [{project.runs}] (check who "
        "owns it and its permissions)"]


def test_a_folder_that_may_not_be_looked_into(project):
    refrain.hand_over(project.root)
    closed = project.root / "closed"
    closed.mkdir(mode=0)
    text = project.doctor(unprivileged=True, REFRAIN_RUNS=str(closed / "runs"), REFRAIN_MODEL=str(closed / "model"))
    assert lines_of(text, "broken") == [
        f"broken   REFRAIN_MODEL: cannot read the folder that it names: Permission denied [{closed}/model] (check who "
        "owns it and its permissions)",
        f"broken   REFRAIN_RUNS: cannot make a folder in {closed}: Permission denied [{closed}/runs] (check who owns it "
        "and its permissions)"]


def test_a_file_in_its_place(project):
    file = project.root / "pairs.jsonl"
    text = project.doctor(REFRAIN_RUNS=str(file))
    assert lines_of(text, "broken") == [f"broken   REFRAIN_RUNS: names a file [{file}] (set it to a folder)"]


def test_a_full_disk(project, tmp_path):
    with small_disk(tmp_path / "disk", "400k") as disk:
        text = project.doctor(REFRAIN_RUNS=str(disk), REFRAIN_DISK_TB="1e-7")
        assert lines_of(text, "broken") == [
            f"broken   REFRAIN_RUNS: cannot write a file: No space left on device [{disk}] ({NO_ROOM})"]
        assert list(disk.iterdir()) == []


def test_space_for_none_and_for_some(project, tmp_path):
    with small_disk(tmp_path / "disk", "10m") as disk:
        only_warning(project, "REFRAIN_DISK_TB: allows 1.8 TiB, more than is free (10.0 MiB) (lower it)",
                     REFRAIN_RUNS=str(disk), REFRAIN_DISK_TB="2")
        project.write_model(1 << 18)  # 28 bytes each: 7 MiB
        only_warning(project, "free space: 10.0 MiB free, and a member of the sweep may write 7.0 MiB (let 1 of 2 run "
                              "at once: sbatch --array=0-1%1)", REFRAIN_RUNS=str(disk), REFRAIN_DISK_TB="1e-6")
        project.write_model(1 << 20)
        only_broken(project, "free space: 10.0 MiB free, and a member of the sweep may write 28.0 MiB (free space, or "
                             "set REFRAIN_RUNS to another disk)", REFRAIN_RUNS=str(disk), REFRAIN_DISK_TB="1e-6")
        # Of what it trains less.
        text = project.doctor(REFRAIN_RUNS=str(disk), REFRAIN_DISK_TB="1e-6", REFRAIN_TRAIN_ARGS="--lora-rank 1")
        assert "ok       free space: 10.0 MiB free, and a member of the sweep may write 56.0 KiB" in text, text


def test_too_few_files(project, tmp_path):
    with small_disk(tmp_path / "disk", "10m,nr_inodes=500") as disk:
        only_warning(project, "free files: 499 more files fit here (remove old runs, or set REFRAIN_RUNS to another "
                              "disk)",
                     REFRAIN_RUNS=str(disk), REFRAIN_DISK_TB="1e-6")
    with small_disk(tmp_path / "smaller disk", "10m,nr_inodes=50") as disk:
        text = project.doctor(REFRAIN_RUNS=str(disk), REFRAIN_DISK_TB="1e-6")
        assert lines_of(text, "broken") == [
            f"broken   REFRAIN_RUNS: cannot create a file: No space left on device [{disk}] ({NO_ROOM})"]


def test_quota(project):
    executable(project.tools / "lfs", '#!/bin/sh\n[ "$3" = -g ] || echo "/lustre 900 0 1000 - 5 0 0 -"\n')
    assert "ok       quota: 100.0 KiB left, and a member of the sweep may write 28.0 KiB\n" in project.doctor()
    executable(project.tools / "lfs", '#!/bin/sh\n[ "$3" = -u ] || echo "/lustre 990 0 1000 - 5 0 0 -"\n')
    only_broken(project, "quota: 10.0 KiB left, and a member of the sweep may write 28.0 KiB (free space, or set "
                         "REFRAIN_RUNS to another disk)")
    executable(project.tools / "lfs", "#!/bin/sh\necho 'not a Lustre file system' >&2\nexit 1\n")
    remedy = "(set REFRAIN_DISK_TB to what the site lets you write, in units of 1e12 bytes)"
    only_warning(project, f"quota: lfs names none here, and REFRAIN_DISK_TB is not set {remedy}", REFRAIN_DISK_TB="")
    (project.tools / "lfs").unlink()
    only_warning(project, f"quota: there is no lfs command to ask, and REFRAIN_DISK_TB is not set {remedy}",
                 REFRAIN_DISK_TB="")


# --- programs, GPUs, launcher

def test_programs_that_are_missing_broken_or_old(project):
    (project.bin / "refrain-judge").unlink()
    only_broken(project, f"refrain-judge: is not there [{project.bin}/refrain-judge] (build it: env/setup.sh, with "
                         "libtorch for train, generate and judge)")
    executable(project.bin / "refrain-judge", "#!/bin/sh\necho 'refrain-judge: error while loading shared libraries: "
                                              "libtorch_cpu.so: cannot open shared object file' >&2\nexit 127\n")
    only_broken(project, "refrain-judge: does not start: refrain-judge: error while loading shared libraries: "
                         "libtorch_cpu.so: cannot open shared object file (load in env/site.sh the modules that it was "
                         "built with, or build it again)")
    project.program("judge", version="0.0.9 (git old)")
    revision = project.version.partition("(git ")[2].rstrip(")")
    only_warning(project, f"refrain-judge: is refrain-judge 0.0.9 (git old), and refrain-study is of {revision} (build "
                          "all programs together)")


def test_gpus(project):
    for_gpus = "  CUDA 13.0\\n  NCCL 2.27\\n"
    card = "NVIDIA H100 80GB HBM3, 81559 MiB, 580.65.06"
    executable(project.tools / "nvidia-smi", f"#!/bin/sh\nfor i in 1 2; do echo '{card}'; done\n")
    only_warning(project, f"GPUs: 2 x {card}, but refrain-train is built for CPUs (build it for them: env/setup.sh "
                          "--cuda)")
    project.program("train", more=for_gpus)
    assert f"ok       GPUs: 2 x {card}\n" in project.doctor()
    project.slurm()
    project.job(tasks=4)
    only_broken(project, f"GPUs: 2 x {card} for 4 tasks on a node (sbatch --ntasks-per-node=2, or more GPUs by "
                         "SBATCH_GRES)")
    project.job(tasks=2)
    assert "ok       NCCL: connects the GPUs of 4 ranks\n" in project.doctor()
    only_broken(project, "NCCL: does not connect the GPUs of 4 ranks: refrain-train: NCCL: unhandled system error "
                         "(docs/gpu.md; NCCL_DEBUG=INFO makes it say more)", NO_NCCL="1")
    executable(project.tools / "nvidia-smi", "#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    only_broken(project, "GPUs: refrain-train is built for GPUs, and this node shows none (ask for them in "
                         "env/site.sh: SBATCH_GRES=gpu:4, and SBATCH_PARTITION)")


LOAD_MPI = "(load the MPI module that the project was built with in env/site.sh, or set REFRAIN_LAUNCHER)"


def test_launchers_outside_a_job(project):
    executable(project.tools / "mpirun", '#!/bin/sh\nshift 2\nexec "$@"\n')
    line = "launcher: mpirun -n 2 starts no world of 2 ranks: refrain-shard: MPI has 1 ranks instead of 2"
    only_broken(project, f"{line} {LOAD_MPI}")
    project.slurm()
    only_warning(project, f"{line} (no job needs it here; run this inside a job too)")
    (project.tools / "mpirun").unlink()
    assert "ok       launcher: srun, which this tries inside a job\n" in project.doctor()
    (project.tools / "srun").unlink()
    (project.tools / "scontrol").unlink()
    only_broken(project, "launcher: neither srun nor mpirun is in PATH (load the MPI module in env/site.sh)")


def test_a_launcher_that_is_not_there(project):
    only_broken(project, "launcher: the launcher 'mpirn' is not in PATH (load the MPI module in env/site.sh, or set "
                         "REFRAIN_LAUNCHER)", REFRAIN_LAUNCHER="mpirn -n 2")


def test_a_launcher_that_root_may_not_use(project):
    executable(project.tools / "mpirun", "#!/bin/sh\necho '---\nmpirun has detected an attempt to run as root.\n\n"
                                         "Running as root is *strongly* discouraged' >&2\nexit 1\n")
    line = ("launcher: mpirun -n 2 starts no world of 2 ranks: mpirun has detected an attempt to run as root. (as root, in "
            "a container, set OMPI_ALLOW_RUN_AS_ROOT=1 and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)")
    only_broken(project, line)
    project.slurm()
    only_warning(project, line)


def test_launchers_in_a_job(project):
    project.slurm()
    project.job()
    only_broken(project, "launcher: no MPI type of srun starts a world of 4 ranks (pmix: refrain-shard: MPI has 1 "
                         "ranks instead of 4) (load the MPI module that the project was built with in env/site.sh, or "
                         "set REFRAIN_LAUNCHER=mpirun)", SINGLETONS="1")
    text = project.doctor("--launcher", "env WORLD=3")
    assert lines_of(text, "broken") == ["broken   launcher: env WORLD=3 starts no world of 4 ranks on 2 nodes: "
                                        f"refrain-shard: MPI has 3 ranks instead of 4 {LOAD_MPI}"]
    text = project.doctor(MPI_TYPES="none")
    assert lines_of(text, "broken") == [
        "broken   launcher: srun --mpi=list has none of pmix, pspmix, pmi2 (set REFRAIN_LAUNCHER=mpirun, or to a whole "
        "command that starts 4 ranks)",
        "broken   MPI types: srun --mpi=list has none of pmix, pspmix, pmi2 (set REFRAIN_LAUNCHER=mpirun in "
        "env/site.sh)"]
    only_broken(project, "nodes: 1 of 2 write to REFRAIN_RUNS (put it on a file system that all nodes see)", LIVING="1")


# --- Slurm

@pytest.mark.parametrize("settings, line", [
    ({"JobRequeue": "0"}, "JobRequeue: 0: jobs are requeued only where they ask for it (keep --requeue in scripts of "
                          "your own, as those of slurm/ have it)"),
    ({"PreemptMode": "CANCEL"}, "PreemptMode: CANCEL: a preempted job is gone (submit it again: it goes on from its "
                                "last checkpoint)"),
    ({"SelectTypeParameters": "CR_CPU_MEMORY"},
     "memory: is counted (CR_CPU_MEMORY), and a job that asks for none gets all of its nodes' (export "
     "SBATCH_MEM_PER_NODE=0 in env/site.sh for whole nodes, or what a job needs)"),
    ({"SelectTypeParameters": "CR_CORE_MEMORY", "DefMemPerCPU": "2000"},
     "memory: is counted (CR_CORE_MEMORY), and a job that asks for none gets 2000 MiB a CPU (export "
     "SBATCH_MEM_PER_NODE=0 in env/site.sh for whole nodes, or what a job needs)"),
    ({"SlurmdTimeout": "0 sec"}, "times: a lost node is never noticed (SlurmdTimeout is 0) (a job that hangs on one "
                                 "has to be requeued by hand: scontrol requeue JOB)"),
])
def test_settings_that_want_something(project, settings, line):
    project.slurm(**settings)
    only_warning(project, line)


def test_settings_that_forbid_something(project):
    project.slurm(MaxArraySize="2", SelectTypeParameters="CR_CPU_MEMORY")
    text = project.doctor(SBATCH_MEM_PER_NODE="0")
    assert "ok       memory: is counted, and SBATCH_MEM_PER_NODE=0\n" in text
    assert "ok       MaxArraySize: indices up to 1\n" in text
    only_broken(project, "MaxArraySize: indices go up to 1, and the sweep has 12 members (split the table into several "
                         "sweeps)", SBATCH_MEM_PER_NODE="0", REFRAIN_SWEEP="beta_by_learning_rate")
    only_broken(project, "Slurm: scontrol show config does not answer: slurm_load_ctl_conf error: Unable to contact "
                         "slurm controller (try again on a login node; SLURM_CONF may name another cluster)",
                SILENT="1")


def test_what_this_job_lacks(project):
    project.slurm()
    project.job(nodes=1, tasks=4, cpus=4)
    only_warning(project, "job 7: may not be requeued (submit it with --requeue; where that is refused, its index is "
                          "submitted again)", REQUEUE="0")
    only_warning(project, "OMP_NUM_THREADS: 8 threads a rank, but a rank has 1 CPUs (unset it in env/site.sh: jobs "
                          "take a thread for each CPU of a rank)", OMP_NUM_THREADS="8")
    project.job(nodes=1, tasks=4, cpus=2)
    only_broken(project, "job 7: has fewer CPUs than tasks on a node (SBATCH_EXCLUSIVE=exclusive in env/site.sh, or "
                         "SBATCH_CPUS_PER_GPU with SBATCH_GRES)")


def test_the_real_programs_and_mpirun(tmp_path):
    """Not stand-ins: those that are built here."""
    model = refrain.data("stories260K/hf")
    done = refrain.run("study", "doctor", "--launcher", "mpirun", exit_code=1, REFRAIN_RUNS=tmp_path,
                       REFRAIN_MODEL=model, REFRAIN_PAIRS="")
    lines = done.stdout.splitlines()
    assert f"ok       REFRAIN_MODEL: {model}, 260,032 parameters" in lines
    assert "ok       launcher: mpirun -n 2 starts a world of 2 ranks" in lines
    assert any(re.fullmatch(r"ok       refrain-shard: (libtorch [\w.+]+, )?HDF5 [\d.]+, MPI .+", line) for line in lines)
