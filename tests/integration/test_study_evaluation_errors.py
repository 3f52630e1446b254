"""Bad input of refrain-study generate, judge and report: one line each, and nothing is started."""

import signal

import pytest
from refrain import check_line
from study_project import MEMBERS, STUDY, answer_all, base, calls, project, run_dir, start, study, trained, wait_for


def test_what_is_not_there_yet_is_one_line(project):
    name = f"{STUDY}/{MEMBERS[0]}"
    _, err = study(project, "generate", exit_code=1)
    check_line("study", err, f"{name} has not been trained [{run_dir(project)}] (refrain-study member {STUDY} "
                             "--index 0)")
    study(project, "generate", "--index", 2)
    _, err = study(project, "judge", exit_code=1)
    assert err.splitlines()[-1] == (f"refrain-study: no member of these studies has been trained [{run_dir(project)}] "
                                    f"(refrain-study member {STUDY} --index 0)")

    process = start(project, "member", STUDY, FAKE="wait")
    wait_for(project, "waiting")
    for command in ("generate", "judge"):
        _, err = study(project, command, exit_code=1)
        check_line("study", err, f"training of {name} has not finished: it is at step 0 [{run_dir(project)}] (wait until "
                                 f"it has ended, or go on with refrain-study member {STUDY} --index 0)")
    _, err = study(project, "judge", exit_code=1, SLURM_JOB_ID="7")
    check_line("study", err, f"training of {name} has not finished: it is at step 0 [{run_dir(project)}] (wait for its "
                             f"job (--dependency=afterok:JOB), or go on with sbatch --array=0 slurm/{STUDY}.sh)")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=20) == 85
    study(project, "member", STUDY)

    _, err = study(project, "judge", exit_code=1)
    check_line("study", err, f"{name} has no responses.h5 yet [{run_dir(project)}] (refrain-study generate --index 0 "
                             "makes them)")
    study(project, "generate")
    (base(project) / "responses.h5").unlink()
    _, err = study(project, "judge", exit_code=1)
    assert err.splitlines()[-1] == (f"refrain-study: base has no responses.h5 yet [{base(project)}] (refrain-study "
                                    "generate --index 2 makes them)")
    _, err = study(project, "report", exit_code=1)
    check_line("study", err, f"{name} has no verdicts.h5 yet [{run_dir(project)}] (refrain-study judge makes "
                             "them)")


NAMES = ("name a definition, FILE.json, or one of adjudicator, correctness, fluency, language, llama-guard-3, polyguard, "
         "refusal-pattern")
FORM = "write [NAME=]FOLDER, or [NAME=]URL MODEL"


@pytest.mark.parametrize("words, variables, line", [
    (["generate"], {"REFRAIN_STUDY": "", "REFRAIN_PROMPTS": ""},
     "not set: REFRAIN_STUDY, REFRAIN_PROMPTS (export in env/site.sh or the submitting shell: REFRAIN_STUDY=the "
     "training configurations, such as dpo_8b_balanced, REFRAIN_PROMPTS=the evaluation prompts)"),
    (["generate"], {"REFRAIN_STUDY": " "},
     "REFRAIN_STUDY names no study (set it to training configurations, such as dpo_8b_balanced)"),
    (["report", STUDY, STUDY], {}, f"the study {STUDY} is named twice (name each study once)"),
    (["generate", "--index", "3"], {},
     "there is no model 3: members are 0 to 1, and 2 is the model before training (give --index 0 to 2)"),
    (["generate", "--index", "3"], {"SLURM_JOB_ID": "7"},
     "there is no model 3: members are 0 to 1, and 2 is the model before training (sbatch --array=0-2 "
     "slurm/generate.sh)"),
    (["judge"], {"REFRAIN_GUARDS": ""},
     "not set: REFRAIN_GUARDS (export in env/site.sh or the submitting shell: REFRAIN_GUARDS=the judges and their "
     "models, such as llama-guard-3=/models/guard)"),
    (["judge"], {"REFRAIN_GUARDS": "lama=guard"},
     f"REFRAIN_GUARDS: there is no judge 'lama' ({NAMES})"),
    (["judge"], {"REFRAIN_GUARDS": "lid.ftz=guard"},  # a file, but not FILE.json
     f"REFRAIN_GUARDS: there is no judge 'lid.ftz' ({NAMES})"),
    (["judge"], {"REFRAIN_GUARDS": "none.json=guard"},
     "REFRAIN_GUARDS names a file that does not exist [none.json] (check the path)"),
    (["judge"], {"REFRAIN_ADJUDICATOR": "none.json=guard"},
     "REFRAIN_ADJUDICATOR names a file that does not exist [none.json] (check the path)"),
    (["judge"], {"REFRAIN_GUARDS": "polyguard=/none"},
     "REFRAIN_GUARDS: polyguard's folder does not exist [/none] (name a Hugging Face folder or a checkpoint)"),
    (["judge"], {"REFRAIN_GUARDS": "polyguard"},
     "REFRAIN_GUARDS: polyguard is given no model (write polyguard=FOLDER)"),
    (["judge"], {"REFRAIN_GUARDS": "language"},
     "REFRAIN_GUARDS: language is given no model (write language=lid.176.ftz)"),
    (["judge"], {"REFRAIN_GUARDS": "language=/none"},
     "REFRAIN_GUARDS: language's language model does not exist [/none] (correct the path)"),
    (["judge"], {"REFRAIN_GUARDS": "refusal-pattern=guard"},
     "REFRAIN_GUARDS: refusal-pattern asks no model and is given one (write refusal-pattern alone)"),
    (["judge"], {"REFRAIN_GUARDS": "polyguard=guard polyguard=guard"},
     "REFRAIN_GUARDS names polyguard twice (give each judge a name of its own)"),
    (["judge"], {"REFRAIN_GUARDS": "refusal-pattern"},
     "REFRAIN_GUARDS names no judge of kind safety (name guards, such as llama-guard-3=FOLDER)"),
    (["judge"], {"REFRAIN_DECIDERS": "polyguard llama"},
     "REFRAIN_DECIDERS: llama is none of the guards (name some of: llama-guard-3 polyguard)"),
    (["judge"], {"REFRAIN_ADJUDICATOR": "https://server/v1"},
     f"REFRAIN_ADJUDICATOR names no model of the server, or more than one ({FORM})"),
    (["judge"], {"REFRAIN_ADJUDICATOR": "adjudicator=guard a-model"},
     f"REFRAIN_ADJUDICATOR has 2 words for a folder ({FORM})"),
    (["judge"], {"REFRAIN_ADJUDICATOR": "fluency=guard"},
     "REFRAIN_ADJUDICATOR: fluency is of kind rubric, not safety (name a judge of kind safety)"),
    (["judge"], {"REFRAIN_ADJUDICATOR": "polyguard=guard"},
     "REFRAIN_ADJUDICATOR: polyguard is one of the guards too (name a judge of another name)"),
    (["judge"], {"REFRAIN_ADJUDICATOR": "/none"},
     "REFRAIN_ADJUDICATOR: adjudicator's folder does not exist [/none] (name a Hugging Face folder or a checkpoint)"),
    (["judge"], {"REFRAIN_ADJUDICATOR": "arbiter"},
     f"REFRAIN_ADJUDICATOR: there is no judge 'arbiter' ({NAMES})"),
])
def test_bad_settings_are_one_line(project, words, variables, line):
    _, err = study(project, *words, exit_code=2, **variables)
    check_line("study", err, line)
    assert not calls(project)


@pytest.mark.parametrize("command, variable, option", [
    ("generate", "REFRAIN_GENERATE_ARGS", "--out"), ("generate", "REFRAIN_PROMPT_ARGS", "--tokenizer"),
    ("judge", "REFRAIN_JUDGE_ARGS", "--responses"), ("judge", "REFRAIN_ADJUDICATOR_ARGS", "--verdicts"),
    ("report", "REFRAIN_REPORT_ARGS", "--verdicts")])
def test_what_the_study_sets_is_not_for_the_user(trained, command, variable, option):
    answer_all(trained)
    study(trained, "judge")
    adjudicator = {"REFRAIN_ADJUDICATOR": "adjudicator=adjudicator"}
    _, err = study(trained, command, exit_code=1, **{variable: f"{option} x", **adjudicator})
    check_line("study", err, f"{variable} sets {option}, which the study sets itself (take it out; docs/cluster.md says "
                             "which variable it comes from)")
