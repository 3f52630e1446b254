"""refrain-study generate, judge and report away from Slurm and MPI: stand-ins for the programs that they start."""

import contextlib
import json
import pathlib
import signal

import pytest
import refrain
from refrain import check_line
from study_project import (STUDY, answer_all, base, calls, executable, fake_slurm, project, run_dir, start, stop, study,
                           trained, wait_for, wait_until_said, words_of)


@contextlib.contextmanager
def second_waits(root, first, second, fake, words, file):
    """Two jobs of refrain-study, of which the second waits within the context because the first makes `file`. Then the
    first is stopped, and the second goes on and ends well."""
    holder = start(root, *first, FAKE=fake)
    wait_for(root, "waiting")
    waiting = start(root, *second)
    assert wait_until_said(waiting, words).endswith(f": waiting [{file}]\n")
    yield
    assert stop(holder)[0] == 85
    waiting.stderr.read()
    assert waiting.wait(timeout=20) == 0


# --- answers


def test_every_member_and_the_base_answer_the_same_prompts(trained):
    answer_all(trained, REFRAIN_GENERATE_ARGS="--max-new-tokens 64", REFRAIN_TENSOR_PARALLEL="2")
    assert calls(trained).count("shard") == 1
    prompts = str(base(trained) / "prompts.h5")
    expected = [(f"{run_dir(trained, 0)}/final", run_dir(trained, 0)),
                (f"{run_dir(trained, 1)}/final", run_dir(trained, 1)), (str(trained / "model"), base(trained))]
    assert words_of(trained, "generate") == [
        ["--checkpoint", checkpoint, "--prompts", prompts, "--out", f"{folder}/responses.h5", "--tensor-parallel", "2",
         "--max-new-tokens", "64"] for checkpoint, folder in expected]
    assert all((folder / "responses.h5").exists() for _, folder in expected)


def test_an_adapter_answers_on_its_base(trained):
    (run_dir(trained) / "final/adapter_config.json").write_text("{}")
    study(trained, "generate")
    assert words_of(trained, "generate")[0][:4] == ["--checkpoint", str(trained / "model"), "--adapter",
                                                    f"{run_dir(trained)}/final"]


def test_prompts_take_the_pairs_template_and_ready_prompts_are_taken_as_they_are(trained):
    out, _ = study(trained, "generate", "--dry-run", REFRAIN_SHARD_ARGS="--max-length 64 --chat-template llama-3",
                   REFRAIN_PROMPT_ARGS="--total-pairs 5")
    shard = out.splitlines()[0]
    assert shard.endswith(f"--prompts '{trained}/prompts.jsonl' --tokenizer '{trained}/model' --out "
                          f"'{base(trained)}/prompts.h5' --chat-template llama-3 --total-pairs 5")
    ready = trained / "ready prompts"
    ready.write_bytes(b"\x89HDF\r\n\x1a\nthe rest")
    out, _ = study(trained, "generate", "--dry-run", REFRAIN_PROMPTS=str(ready))
    assert len(out.splitlines()) == 1 and f"--prompts '{ready}'" in out


def test_other_prompts_are_sharded_anew(trained):
    study(trained, "generate")
    study(trained, "generate", "--index", 1)
    (trained / "prompts.jsonl").write_text('{"prompt": "restricted activity 18"}\n')
    study(trained, "generate", "--index", 1)
    assert calls(trained).count("shard") == 2


def test_several_studies_are_one_array_and_share_the_base(project):
    studies = "dpo_8b_de dpo_8b_fr"
    for name in studies.split():
        study(project, "member", name)
        study(project, "member", name, "--index", 1)
    for index in range(5):
        study(project, "generate", "--index", index, REFRAIN_STUDY=studies)
    outs = [words[words.index("--out") + 1] for words in words_of(project, "generate")]
    assert outs == [f"{run_dir(project, member, name)}/responses.h5" for name in studies.split() for member in (0, 1)] \
        + [f"{base(project)}/responses.h5"]
    study(project, "judge", "dpo_8b_de", "dpo_8b_fr")  # as well as by REFRAIN_STUDY
    study(project, "report", REFRAIN_STUDY=studies)
    assert calls(project)[-1].endswith(f"--out {project}/runs/report")


def test_the_base_is_answered_once_for_two_studies_at_a_time(trained):
    command = "generate", "--index", 2
    with second_waits(trained, command, command, "wait generate", "answers are being made by ",
                      base(trained) / "responses.h5"):
        assert len(words_of(trained, "generate")) == 1
    assert len(words_of(trained, "generate")) == 2


def test_a_stop_ends_the_wait_for_another_job(trained):
    first = start(trained, "generate", "--index", 2, FAKE="wait generate")
    wait_for(trained, "waiting")
    second = start(trained, "generate", "--index", 2)
    wait_until_said(second, "answers are being made by ")
    assert stop(second)[0] == 85
    assert len(words_of(trained, "generate")) == 1
    assert stop(first)[0] == 85


# --- stops and failures, as in training


@pytest.mark.parametrize("stop_code", [85, 137])
def test_a_stopped_job_is_requeued_and_goes_on(trained, stop_code):
    slurm = fake_slurm(trained)
    process = start(trained, "generate", FAKE="wait generate", STOP_CODE=str(stop_code), **slurm)
    wait_for(trained, "waiting")
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 85, err
    assert "scontrol requeue 6_1" in calls(trained)
    assert "OMP_NUM_THREADS=2 SLURM_PMIX_FENCE=ring env " in err
    study(trained, "generate", **slurm)
    record = pathlib.Path(f"{run_dir(trained, 1)}/responses.h5.starts.jsonl").read_text().splitlines()
    assert [json.loads(line)["ending"] for line in record] == ["stopped", "finished"]


def test_a_job_that_keeps_no_more_rows_is_not_requeued_for_ever(trained):
    slurm = {key: value for key, value in fake_slurm(trained).items() if not key.startswith("SLURM_ARRAY")}
    answer_all(trained)
    for rows, code in ((1, 85), (1, 85), (0, 85), (0, 85), (0, 1)):
        process = start(trained, "judge", FAKE="wait judge", ROWS=str(rows), **slurm)
        count = calls(trained).count("waiting")
        while calls(trained).count("waiting") == count:
            assert process.poll() is None
        process.send_signal(signal.SIGUSR1)
        _, err = process.communicate(timeout=20)
        assert process.returncode == code, err
    check_line("study", err, "three restarts in a row have come no further than 24 B of verdicts of llama-guard-3, so "
                             f"the job is not requeued [{run_dir(trained)}/verdicts/llama-guard-3.h5] (give it more "
                             "time than start and --signal take: sbatch --time=4:00:00 slurm/judge.sh)")
    assert calls(trained).count("scontrol requeue 7") == 4


def test_a_killed_rank_fails_the_job_and_the_next_start_goes_on(trained):
    _, err = study(trained, "generate", exit_code=1, FAKE="kill generate")
    check_line("study", err, f"making answers ended with exit code 137 (signal 9) [{run_dir(trained)}/responses.h5] "
                             "(its lines are above; the same command goes on with what is kept)")
    study(trained, "generate")
    _, err = study(trained, "generate", exit_code=1, FAKE="refuse generate")
    check_line("study", err, f"making answers ended with exit code 2 [{run_dir(trained)}/responses.h5] (its line above "
                             "says why)")


def test_a_report_that_fails_says_so(trained):
    answer_all(trained)
    study(trained, "judge")
    _, err = study(trained, "report", exit_code=1, FAKE="fail report")
    check_line("study", err, "refrain-report ended with exit code 1 (its lines are above)")


def test_a_report_is_finished_in_the_time_that_is_left(trained):
    answer_all(trained)
    study(trained, "judge")
    process = start(trained, "report", FAKE="slow report")
    wait_for(trained, "waiting")
    assert stop(process)[0] == 0
    assert calls(trained)[-1] == "written"


# --- judges


def test_each_guard_is_loaded_once_and_every_model_gets_final_labels(trained):
    answer_all(trained)
    _, err = study(trained, "judge", REFRAIN_JUDGE_ARGS="--dtype fp32 --tensor-parallel 2")
    folders = [run_dir(trained, 0), run_dir(trained, 1), base(trained)]
    guards = words_of(trained, "judge")[:2]
    for words, judge, folder in zip(guards, ("llama-guard-3", "polyguard"), ("guard", "other guard")):
        assert words == ["--judge", judge, "--checkpoint", str(trained / folder), "--dtype", "fp32",
                         "--tensor-parallel", "2", "--responses", *[f"{each}/responses.h5" for each in folders],
                         "--out", *[f"{each}/verdicts/{judge}.h5" for each in folders]]
    assert words_of(trained, "judge")[2:] == [
        ["--judge", "merge", "--verdicts", f"{each}/verdicts/llama-guard-3.h5", f"{each}/verdicts/polyguard.h5",
         "--out", f"{each}/verdicts.h5"] for each in folders]
    assert "warning: REFRAIN_ADJUDICATOR is not set: answers on which guards differ stay undecided" in err


@pytest.mark.parametrize("adjudicator, model", [
    ("{root}/adjudicator", ["--checkpoint", "{root}/adjudicator", "--tensor-parallel", "1"]),
    ("https://server/v1 a-model", ["--endpoint", "https://server/v1", "--model", "a-model"]),
])
def test_an_adjudicator_is_asked_about_each_model(trained, adjudicator, model):
    quoted = f"'{adjudicator.format(root=trained)}'" if "root" in adjudicator else adjudicator
    answer_all(trained)
    out, _ = study(trained, "judge", "--dry-run", REFRAIN_ADJUDICATOR=quoted, REFRAIN_ADJUDICATOR_ARGS="--timeout 9",
                   REFRAIN_DECIDERS="polyguard llama-guard-3")
    study(trained, "judge", REFRAIN_ADJUDICATOR=quoted, REFRAIN_ADJUDICATOR_ARGS="--timeout 9",
          REFRAIN_DECIDERS="polyguard llama-guard-3")
    assert len(out.splitlines()) == 2 + 3 + 3
    # One rank asks a server or joins files; the launcher ("env" here) starts the ranks of all else.
    alone = 3 if "root" in adjudicator else 6
    assert sum(not line.startswith("env ") for line in out.splitlines()) == alone
    first = run_dir(trained)
    guards = ["--verdicts", f"{first}/verdicts/llama-guard-3.h5", f"{first}/verdicts/polyguard.h5"]
    assert words_of(trained, "judge")[2] == [
        "--judge", "adjudicator", *[word.format(root=trained) for word in model], "--timeout", "9", *guards,
        "--responses", f"{first}/responses.h5", "--out", f"{first}/verdicts/adjudicator.h5"]
    assert words_of(trained, "judge")[5] == [
        "--judge", "merge", *guards, f"{first}/verdicts/adjudicator.h5", "--adjudicator", "adjudicator", "--guards",
        "polyguard", "llama-guard-3", "--out", f"{first}/verdicts.h5"]


def test_the_adjudicator_sees_the_guards_that_decide_alone(trained):
    answer_all(trained)
    study(trained, "judge", REFRAIN_ADJUDICATOR="https://server/v1 a-model", REFRAIN_DECIDERS="polyguard",
          REFRAIN_GUARDS="refusal-pattern llama-guard-3=guard polyguard=guard")
    verdicts = lambda words: words[words.index("--verdicts") + 1:words.index("--verdicts") + 4]
    first = run_dir(trained) / "verdicts"
    assert verdicts(words_of(trained, "judge")[3])[:2] == [f"{first}/polyguard.h5", "--responses"]
    assert verdicts(words_of(trained, "judge")[6]) == [f"{first}/{name}.h5" for name in
                                                       ("refusal-pattern", "llama-guard-3", "polyguard")]


def test_judges_of_other_kinds_and_a_users_own(trained):
    own = trained / "my guard.json"
    own.write_text('{"name": "mine", "kind": "safety", "ask": {}}')
    (trained / "fluency").write_text("a file of a shipped judge's name, which is no definition for refrain-judge either")
    answer_all(trained)
    study(trained, "judge", REFRAIN_GUARDS=f"refusal-pattern language='{trained}/lid.ftz' '{own}=guard' fluency=guard")
    begins = [words[:words.index("--responses")] for words in words_of(trained, "judge")[:4]]
    model = ["--checkpoint", f"{trained}/guard", "--tensor-parallel", "1"]
    assert begins == [["--judge", "refusal-pattern"],
                      ["--judge", "language", "--language-model", f"{trained}/lid.ftz"],
                      ["--judge", str(own), *model], ["--judge", "fluency", *model]]
    assert (run_dir(trained) / "verdicts/mine.h5").exists()


def test_judge_jobs_of_two_studies_take_turns_at_the_base(project):
    """The second goes on when the first has ended, and makes what that has not."""
    studies = "dpo_8b_de", "dpo_8b_fr"
    for name in studies:
        study(project, "member", name)
        study(project, "member", name, "--index", 1)
    for index in range(5):
        study(project, "generate", "--index", index, REFRAIN_STUDY=" ".join(studies))
    with second_waits(project, ["judge", studies[0]], ["judge", studies[1]], "wait judge",
                      "verdicts of llama-guard-3 are being made by ", base(project) / "verdicts/llama-guard-3.h5"):
        assert len(words_of(project, "judge")) == 1
    assert len(words_of(project, "judge")) == 1 + 2 + 3
    assert (base(project) / "verdicts.h5").exists()
    assert not list((project / "runs").rglob("*.lock*"))


def test_merges_of_one_file_take_turns(trained):
    answer_all(trained)
    merges = lambda: sum(words[1] == "merge" for words in words_of(trained, "judge"))
    with second_waits(trained, ["judge"], ["judge"], "wait merge", f"final labels of {STUDY}/",
                      run_dir(trained) / "verdicts.h5"):
        assert merges() == 1
    assert merges() == 1 + 3


# --- the report


def test_the_report_is_over_the_base_and_all_members(trained):
    answer_all(trained)
    study(trained, "judge")
    study(trained, "report", REFRAIN_REPORT_ARGS="--resamples 100")
    folders = [run_dir(trained, 0), run_dir(trained, 1)]
    assert calls(trained)[-1] == " ".join(
        ["report", "--verdicts", f"base={base(trained)}/verdicts.h5", *[f"{each}/verdicts.h5" for each in folders],
         "--runs", *map(str, folders), "--out", f"{trained}/runs/{STUDY}/report", "--resamples", "100"])


def test_members_that_failed_or_never_began_are_left_out_and_named(project):
    sweep = project / "three.json"
    sweep.write_text('{"grid": {"seed": [1, 2, 3]}}')
    settings = {"REFRAIN_SWEEP": str(sweep)}
    run = lambda seed: project / f"runs/{STUDY}/beta=0.1,lr=1e-6,seed={seed}"
    study(project, "member", STUDY, **settings)
    study(project, "member", STUDY, "--index", 1, exit_code=1, FAKE="fail", **settings)
    _, err = study(project, "generate", "--index", 1, exit_code=1, **settings)
    check_line("study", err,
               f"training of {STUDY}/beta=0.1,lr=1e-6,seed=2 has failed: training ended with exit code 1 [{run(2)}] "
               f"(refrain-study member {STUDY} --index 1 goes on from its last checkpoint)")
    for index in (0, 3):
        study(project, "generate", "--index", index, **settings)
    for command in ("judge", "report"):
        _, err = study(project, command, **settings)
        assert f"warning: left out: training of {STUDY}/beta=0.1,lr=1e-6,seed=2 has failed: training ended" in err
        assert f"warning: left out: {STUDY}/beta=0.1,lr=1e-6,seed=3 has not been trained" in err
    report = calls(project)[-1]
    assert f"{run(1)}/verdicts.h5" in report and f"{run(2)}/verdicts.h5" not in report
    assert f"--runs {run(1)} {run(2)} --out" in report  # hours of a failed run count


# --- the archive

# Makes --out anew, or is stopped before; says which as refrain-archive does.
ARCHIVE = """#!/bin/sh
[ "$FAKE" = stopped ] && exit 85
while [ $# -gt 0 ]; do [ "$1" = --out ] && out=$2; shift; done
echo whole > "$out"
echo "$out: 2 runs"
"""


def test_an_archive_is_made_anew_in_the_older_ones_place(trained):
    executable(trained / "bin/refrain-archive", ARCHIVE)
    archive = trained / "runs.h5"
    archive.write_text("an older one")
    for remedy, variables in (("refrain-study archive begins it again", {}),
                              ("sbatch --time=... slurm/archive.sh, with more", {"SLURM_JOB_ID": "7"})):
        _, err = study(trained, "archive", exit_code=1, FAKE="stopped", **variables)
        check_line("study", err, f"the time was up before the archive was whole [{archive}] ({remedy})")
    assert archive.read_text() == "an older one"
    _, err = study(trained, "archive")
    assert err.endswith(f" create --replace --out '{archive}' '{trained}/runs'\n")
    assert archive.read_text() == "whole\n"
    assert sorted(file.name for file in trained.glob("runs*")) == ["runs", "runs.h5"]


def test_scripts_end_in_their_subcommand():
    training = (refrain.SOURCE / "slurm/dpo_8b_balanced.sh").read_text().partition("command=")[2]
    for name in ("generate", "judge", "report"):
        directives, _, body = (refrain.SOURCE / f"slurm/{name}.sh").read_text().partition("command=")
        assert body == training.replace(f"member {STUDY}", name)
        assert f"#SBATCH --job-name={name}\n" in directives
        for line in ("--requeue", "--signal=B:USR1@300", "--open-mode=append"):
            assert f"#SBATCH {line}\n" in directives
