"""refrain-study run with stand-ins of Slurm's commands: what is printed and submitted, and what a rerun does."""

import json
import os

import pytest
import refrain
from fake_study import MEMBER, Project
from refrain import check_line
from run_folders import myself, write_lock
from study_project import model_folder


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


GRAPH = [("8b.shard", None, None),
         ("8b.train.balanced", "0", "afterok:101"), ("8b.generate.balanced", "0", "afterok:102"),
         ("8b.train.de", "0", "afterok:101"), ("8b.generate.de", "0", "afterok:104"),
         ("8b.generate.base", "1", "afterok:101"),
         ("8b.judge.llama-guard-3", None, "afterok:103:105:106"), ("8b.judge.polyguard", None, "afterok:103:105:106"),
         ("8b.adjudicate", None, "afterok:107:108"), ("8b.report", None, "afterok:109"),
         ("archive", None, "afterok:110")]


def test_all_jobs_are_submitted_behind_each_other_and_none_twice(project):
    out, err = project.run()
    assert project.submitted() == GRAPH
    assert out.splitlines()[-1] == "0 of 11 jobs made, 11 under way, 0 to come"
    lines = project.calls.read_text().splitlines()
    assert all("--kill-on-invalid-dep=yes" in line for line in lines[1:])
    assert all(f"--chdir={project.folder}/logs --export=ALL " in line for line in lines)
    assert lines[1].endswith("/slurm/dpo_8b_balanced.sh") and lines[6].endswith("/slurm/judge.sh")
    assert out.splitlines()[12] == (
        f"REFRAIN_ADJUDICATOR={quoted(project.root, 'adjudicator', twice=True)} "
        f"REFRAIN_GUARDS={guards(project.root)} REFRAIN_JUDGE=llama-guard-3 REFRAIN_MODEL='{project.root}/model' "
        f"REFRAIN_RUNS='{project.folder}' REFRAIN_STUDY='dpo_8b_balanced dpo_8b_de' REFRAIN_SWEEP=paper "
        + re_quoted(lines[6], project))

    out, err = project.run()
    assert out == "0 of 11 jobs made, 11 under way, 0 to come\n" and err == ""
    # What the state does not know, since `run` was killed behind sbatch, is known by its name.
    (project.folder / "study.json").unlink()
    project.run()
    assert project.submitted() == []


def quoted(root, name, twice=False):
    text = f"'{root}/{name}'"
    return "'" + text.replace("'", "'\\''") + "'" if twice else text


def guards(root):
    text = f"'llama-guard-3={root}/guard' 'polyguard={root}/other guard' refusal-pattern"
    return "'" + text.replace("'", "'\\''") + "'"


def re_quoted(line, project):
    """sbatch's words as a person would type them: one of them holds a space."""
    chdir = f"--chdir={project.folder}/logs"
    return "sbatch " + line.replace(chdir, f"'{chdir}'")


def test_a_rerun_goes_on_where_it_stopped(project):
    project.run()
    project.submitted()
    project.make("shard", "train", "generate")
    project.end()  # as if the judges had been cancelled before they began
    out, err = project.run()
    assert [name for name, _, _ in project.submitted()] == ["8b.judge.llama-guard-3", "8b.judge.polyguard",
                                                             "8b.adjudicate", "8b.report", "archive"]
    assert out.splitlines()[-1] == "6 of 11 jobs made, 5 under way, 0 to come"
    for stage in ("judge", "adjudicate", "report", "archive"):
        project.make(stage)
    project.end(log="made\n")
    assert project.run()[0] == f"the study is complete: {project.root}/runs/trial.h5\n"

    # One more judge: its verdicts, and all that is made of them, again.
    project.content["judges"][str(one_more_judge(project.root))] = str(project.root / "guard")
    assert project.run()[1] == ""  # what has not failed is not said to have
    assert [name for name, _, _ in project.submitted()] == ["8b.judge.one-more", "8b.adjudicate", "8b.report",
                                                             "archive"]


def test_a_study_that_grows_has_no_failures(project):
    project.run()
    for stage in ("shard", "train", "generate", "judge", "adjudicate", "report", "archive"):
        project.make(stage)
    project.end(log="made\n")
    project.submitted()
    project.content["configurations"].append("it")
    out, err = project.run("--wave", MAX_JOBS="4")
    assert err == "" and [name for name, _, _ in project.submitted()] == ["8b.shard", "8b.train.it", "8b.generate.it", "wave"]
    project.make("shard", "train", "generate", pairs=("it",))
    project.end()
    _, err = project.run("--wave")
    assert err == "" and [name for name, _, _ in project.submitted()] == [
        "8b.judge.llama-guard-3", "8b.judge.polyguard", "8b.adjudicate", "8b.report", "archive"]


def test_members_that_submit_has_submitted_are_not_submitted_again_nor_the_other_way_round(project):
    def submit(exit_code=0):
        return refrain.run("study", "submit", "dpo_8b_de", "--sweep", "paper", exit_code=exit_code,
                           binaries=project.root / "bin", **project.variables, REFRAIN_RUNS=project.folder,
                           REFRAIN_MODEL=project.root / "model", REFRAIN_PAIRS=project.root / "pairs 1.jsonl")

    assert submit().stdout == "101\n"
    project.run()
    submitted = project.submitted()
    assert submitted[0] == ("dpo_8b_de", "0", None) and ("8b.generate.de", "0", "afterok:101") in submitted
    assert "8b.train.de" not in [name for name, _, _ in submitted]

    project.end()
    project.run()
    job = 101 + len(submitted) + [name for name, _, _ in project.submitted()].index("8b.train.de")
    check_line("study", submit(exit_code=1).stderr,
               f"all members of this sweep that have not finished are under way: job {job}_0 has member 0 "
               f"[{project.folder}/dpo_8b_de] (wait for it, or scancel it)")


    # Where requeue is refused, a member of the study is submitted again: another job of the same name. What waits for
    # the one that has ended would never begin.
    queue = project.queue_file.read_text()
    project.queue_file.write_text(queue.replace(f"{job} 0 ", "900 0 "))
    assert "under way: job 900_0 has member 0" in submit(exit_code=1).stderr
    project.run()
    names = [name for name, _, _ in project.submitted()]
    assert names[0] == "8b.generate.de" and "8b.train.de" not in names
    project.run()
    assert project.submitted() == []


def test_a_member_that_somebody_trains_is_not_submitted(project):
    project.make("shard")
    run = project.folder / "dpo_8b_de" / MEMBER
    run.mkdir(parents=True)
    write_lock(run, myself() | {"start": 1})  # a process that is gone: its lock is left to who trains next
    before = (run / "lock").read_text()
    assert "8b/train/de: 1 job now" in project.run("--dry-run")[0] and (run / "lock").read_text() == before
    write_lock(run, myself())
    holder = f"process {os.getpid()} on here, since 2026-01-31T12:00:00Z"
    out, _ = project.run("--dry-run")
    assert f"8b/train/de: 1 under way, {holder}\n" in out
    assert "8b/generate/de: 1 job in a later wave, behind 8b/train/de\n" in out
    _, err = project.run()
    assert err.endswith(f"warning: 8b/train/de: no job in the queue, but {holder} trains this member: run this again once "
                        f"it has ended, for what waits for it [{run}]\n")
    assert [name for name, _, _ in project.submitted()] == ["8b.train.balanced", "8b.generate.balanced",
                                                            "8b.generate.base"]

    # A job of this user, of whatever name, can be waited for.
    write_lock(run, myself(), job="55")
    with project.queue_file.open("a") as queue:
        queue.write("55 N/A mine\n")
    project.run()
    assert project.submitted()[0] == ("8b.generate.de", "0", "afterok:55")


def one_more_judge(root):
    definition = json.loads((refrain.SOURCE / "src/judge/judges/llama-guard-3.json").read_text())
    file = root / "one more.json"
    file.write_text(json.dumps({**definition, "name": "one-more"}))
    return file


def test_a_failure_is_told_with_its_log_and_folder_and_submitted_again(project):
    project.run()
    project.submitted()
    project.make("shard")
    project.make("train", "generate", pairs=("balanced",))
    run = project.folder / "dpo_8b_de" / MEMBER
    run.mkdir(parents=True)
    (run / "status.json").write_text('{"state": "failed", "step": 3, "error": "loss is not finite at step 3"}')
    project.end("8b.train.de", log="refrain-train: loss is not finite at step 3\n")
    project.end()

    # The job of a wave leaves it to a person.
    name = project.calls.read_text().splitlines()[3].split("--job-name=")[1].split()[0]
    line = (f"8b/train/de: job 104_0 failed: loss is not finite at step 3 [{run}] (its log: "
            f"{project.folder}/logs/{name}-104_0.log)")
    _, err = project.run("--wave", exit_code=1)
    assert line in err
    assert err.splitlines()[-1] == (
        "refrain-study: 1 failed, a line above each: what depends on them stays where it is "
        f"[{project.folder}] (put it right, then: refrain-study run {project.file})")
    assert project.submitted() == []

    # One that was cancelled as it trained is what status calls it.
    (run / "status.json").write_text('{"state": "stopped", "step": 3}')
    assert f"8b/train/de: job 104_0 stopped [{run}] (its log: " in project.run("--wave", exit_code=1)[1]
    (run / "status.json").write_text('{"state": "failed", "step": 3, "error": "loss is not finite at step 3"}')

    out, err = project.run()
    assert line in err and err.count("warning") == 1
    assert [each for each, _, _ in project.submitted()] == [
        "8b.train.de", "8b.generate.de", "8b.judge.llama-guard-3", "8b.judge.polyguard", "8b.adjudicate", "8b.report",
        "archive"]


def test_jobs_behind_a_member_that_was_cancelled_are_submitted_anew_though_others_of_its_array_run(project):
    project.content["sweep"] = "default"
    project.run()
    project.submitted()
    project.make("shard")
    project.end("8b.shard")
    queue = project.queue_file.read_text()
    assert "104 1 " in queue  # 8b/train/de, which has members 0 and 1
    project.queue_file.write_text("".join(line for line in queue.splitlines(True) if not line.startswith("104 1 ")))
    out, err = project.run()
    assert project.submitted() == [
        ("8b.train.de", "1", None), ("8b.generate.de", "0-1", "afterok:104_0:112"),
        ("8b.judge.llama-guard-3", None, "afterok:103:113:106"), ("8b.judge.polyguard", None, "afterok:103:113:106"),
        ("8b.adjudicate", None, "afterok:114:115"), ("8b.report", None, "afterok:116"), ("archive", None, "afterok:117")]
    doomed = {"8b/generate/de": 105, "8b/judge/llama-guard-3": 107, "8b/judge/polyguard": 108, "8b/adjudicate": 109,
              "8b/report": 110, "archive": 111}
    assert [line.partition("warning: ")[2] for line in err.splitlines()][1:] == [
        f"{name}: job {job} waits for one that ended without its results: cancelled" for name, job in doomed.items()]
    assert not set(project.queue_file.read_text().split()) & {str(job) for job in doomed.values()}
    assert out.splitlines()[-1] == "1 of 11 jobs made, 10 under way, 0 to come"
    assert project.run() == ("1 of 11 jobs made, 10 under way, 0 to come\n", "")


def test_waves_fill_the_site_s_limit_and_one_job_submits_the_next(project):
    out, _ = project.run(MAX_JOBS="5")
    assert project.submitted() == [*GRAPH[:4], ("wave", None, "afterany:101:102")]
    assert "the next wave: job 105" in out
    wave = project.calls.read_text().splitlines()[4]
    assert wave.endswith("/slurm/study.sh")
    assert f"REFRAIN_STUDY_FILE='{project.file}' sbatch " in out

    # A rerun by hand while the wave's job waits adds nothing: there is no place, and nothing to do about it.
    assert project.run(MAX_JOBS="5") == ("0 of 11 jobs made, 4 under way, 7 to come\n", "")
    assert project.submitted() == []
    project.make("shard")
    project.make("train", pairs=("balanced",))
    project.end("8b.shard", "8b.train.balanced")
    project.end("wave")
    out, _ = project.run("--wave", MAX_JOBS="5")
    assert project.submitted() == [("8b.generate.de", "0", "afterok:104"), ("8b.generate.base", "1", None),
                                   ("wave", None, "afterany:103:104")]
    assert out.splitlines()[-1] == "2 of 11 jobs made, 4 under way, 5 to come"


def test_members_that_train_at_a_time_share_the_disk(project):
    write_weights(project.root / "model", 1_000_000)  # 28 bytes each while it trains
    project.content.update(sweep="default", disk_tb=85e-6)
    out, _ = project.run()
    assert [each[:2] for each in project.submitted()] == [
        ("8b.shard", None), ("8b.train.balanced", "0-1"), ("8b.generate.balanced", "0-1"), ("8b.train.de", "0-1%1"),
        ("8b.generate.de", "0-1"), ("8b.generate.base", "2"), ("8b.judge.llama-guard-3", None),
        ("8b.judge.polyguard", None), ("8b.adjudicate", None), ("8b.report", None), ("archive", None)]


def write_weights(model, parameters):
    header = json.dumps({"a": {"dtype": "F32", "shape": [parameters], "data_offsets": [0, 4 * parameters]}}).encode()
    (model / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)


def test_the_dry_run_prints_the_graph_its_lines_and_what_it_costs(project):
    project.content["models"]["70b"] = {"folder": str(project.root / "adjudicator"), "configurations": "english_only",
                                        "sbatch": {"train": "--nodes=2 --time=02:00:00"}}
    for name, parameters in {"model": 10**12, "guard": 10**11, "other guard": 10**11, "adjudicator": 10**12}.items():
        write_weights(project.root / name, parameters)
    (project.root / "prompts.parquet").write_text("")
    project.content.update(prompts=str(project.root / "prompts.parquet"), generate_args="--max-new-tokens 300")
    project.content["sbatch"] = {"judge": "--nodes=2"}
    out, err = project.run("--dry-run", MAX_JOBS="12")
    assert project.submitted() == [] and not project.folder.exists()
    lines = out.splitlines()
    heads = [line for line in lines if not line.startswith("  ")]
    assert heads[:6] == [
        "8b/shard: 1 job now", "8b/train/balanced: 1 job now, behind 8b/shard",
        "8b/generate/balanced: 1 job now, behind 8b/train/balanced", "8b/train/de: 1 job now, behind 8b/shard",
        "8b/generate/de: 1 job now, behind 8b/train/de", "8b/generate/base: 1 job now, behind 8b/shard"]
    answering = 16800 * asking_hours(10**12, 155, 300)  # of one model; 8b has three, 70b two
    judging = [16800 * asking_hours(10**11, 455, tokens) for tokens in (20, 100)]
    deciding = 1680 * asking_hours(10**12, 455, 50)
    judges = 5 * (sum(judging) + deciding)
    assert heads[-6:] == [
        "archive: 1 job in a later wave, behind 8b/report, 70b/report",
        "limit: 12 jobs (MaxJobCount of slurm.conf); 11 jobs now, 8 in later waves",
        "training: 40 GPU hours, 9.9 node hours; on disk 5.6 GiB in the end, at most 72.6 GiB if all of it trains at "
        "once (pairs as in the paper until they are sharded)",
        f"answers: {5 * answering:.0f} GPU hours, {5 * answering / 4:.0f} node hours if all are as long as they may be (prompts "
        "as in the paper)",
        f"judges: {judges:.0f} GPU hours, {judges / 4:.1f} node hours if all are as long as they may be (prompts as in the "
        "paper)",
        f"in all: {39.5 + 5 * answering + judges:.0f} GPU hours, {(39.5 + 5 * answering + judges) / 4:.0f} node hours"]
    for job, text in {
        "8b/generate/balanced": f"16800 answers of up to 300 tokens (assumed), {answering / 4:.1f} node hours on 1 x 4",
        "8b/generate/base": f"16800 answers of up to 300 tokens (assumed), {answering / 4:.1f} node hours on 1 x 4",
        "8b/judge/polyguard": f"50400 verdicts of up to 100 tokens (assumed), {3 * judging[1] / 4:.1f} node hours on 2 x 4",
        "70b/adjudicate": f"3360 verdicts of up to 50 tokens (assumed), {2 * deciding / 4:.1f} node hours on 1 x 4"}.items():
        begin = next(i for i, line in enumerate(lines) if line.startswith(f"{job}: "))
        assert lines[begin + 2] == f"  {text}"
    shown = lines[lines.index("70b/train/english_only: 1 job in a later wave, behind 70b/shard") + 1]
    assert shown.endswith(f"--array=0 --dependency=afterok:70b/shard --kill-on-invalid-dep=yes "
                          f"'--chdir={project.folder}/logs' --export=ALL --nodes=2 --time=02:00:00 "
                          f"{refrain.SOURCE}/slurm/dpo_70b_english_only.sh")
    assert lines[lines.index(shown) + 1] == ("  2889 pairs (assumed), 0.6 node hours on 2 x 4, at most 24.2 GiB a "
                                             "member on disk, 1.9 GiB kept")

    # What cannot be estimated is said, and left out of the sums; prompts of JSONL are counted; servers take no hours.
    (project.root / "guard/model.safetensors").unlink()
    project.content.update(prompts=str(project.root / "prompts.jsonl"),
                           adjudicator={"endpoint": "https://server/v1", "model": "m"})
    out, _ = project.run("--dry-run", NO_PLAN="unknown architecture")
    assert "  no estimate: refrain-train: unknown architecture\n" in out
    assert (f"  no estimate: cannot open the file: No such file or directory [{project.root}/guard/model.safetensors] "
            "(check the path)\n") in out
    assert "  1 answer of up to 300 tokens, 0.0 node hours on 1 x 4\n" in out and "verdicts of up to 50" not in out
    assert "the sums are without the jobs that have no estimate\ntraining: 0.0 GPU hours, " in out
    project.content["machine"] = "H900"
    assert (f"  no estimate: machine H900 is not known [{refrain.SOURCE}/src/train/machines.json] (known are H100, H200, "
            "A100-64, A100-40, GH200, CPU)\n") in project.run("--dry-run")[0]


def asking_hours(parameters, read, written):
    """The formula of docs/planning.md on an H100."""
    return (2 * parameters * (read + written) / (989e12 * 0.4) + written * 2 * parameters / (128 * 3.35e12)) / 3600


def test_the_paper_s_study_ships(project):
    models = project.root / "models"
    models.mkdir()
    for name in ("NeuralDaredevil-8B-abliterated", "Llama-3.1-70B-Instruct-lorablated", "Llama-Guard-3-8B",
                 "PolyGuard-Qwen", "Llama-3.1-70B-Instruct"):
        model_folder(models / name)
    project.content = json.loads((refrain.SOURCE / "slurm/studies/paper.json").read_text())
    out, _ = project.run(REFRAIN_MODELS=str(models), REFRAIN_PAIRS=str(project.root / "pairs 1.jsonl"),
                         REFRAIN_PROMPTS=str(project.root / "prompts.jsonl"))
    names = [name for name, _, _ in project.submitted()]
    assert len(names) == len(set(names)) == 73
    trained = [name for name in names if ".train." in name]
    assert len(trained) == 30 and sum(name.startswith("70b.") for name in trained) == 15
    for name in ("8b.train.balanced", "70b.train.high_resource", "8b.train.english_only", "70b.train.no_english",
                 "8b.train.lv", "70b.judge.llama-guard-3", "8b.judge.polyguard", "70b.adjudicate", "8b.report"):
        assert name in names
    assert out.splitlines()[-1] == "0 of 73 jobs made, 73 under way, 0 to come"
