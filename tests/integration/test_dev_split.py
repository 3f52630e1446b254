"""Answers to dev prompts and their verdicts, away from the test's: REFRAIN_SPLIT=dev."""

import pytest
from refrain import check_line
from study_project import MEMBERS, STUDY, answer_all, base, calls, make_trained, run_dir, study, words_of


@pytest.fixture
def project(tmp_path):
    root = make_trained(tmp_path)
    (root / "dev prompts.jsonl").write_text('{"prompt": "restricted activity 18"}\n')
    return root


def dev(root):
    return {"REFRAIN_SPLIT": "dev", "REFRAIN_DEV_PROMPTS": str(root / "dev prompts.jsonl")}


def test_the_dev_split_has_folders_of_its_own(project):
    answer_all(project, **dev(project))
    study(project, "judge", **dev(project))
    assert calls(project).count("shard") == 1 and (base(project) / "dev/prompts.h5").exists()
    assert not (base(project) / "prompts.h5").exists()
    for folder in (base(project), run_dir(project, 0), run_dir(project, 1)):
        assert (folder / "dev/responses.h5").exists() and (folder / "dev/verdicts.h5").exists()
        assert (folder / "dev/verdicts/polyguard.h5").exists() and not (folder / "responses.h5").exists()
    words = words_of(project, "generate")[0]
    assert words[words.index("--prompts") + 1] == str(base(project) / "dev/prompts.h5")

    # The test's own stand beside them, and its report ranks by the dev split.
    answer_all(project)
    study(project, "judge")
    assert (run_dir(project, 0) / "verdicts.h5").exists()
    (run_dir(project, 1) / "dev/verdicts.h5").unlink()
    study(project, "report")
    line = [text for text in calls(project) if text.startswith("report ")][-1]
    assert f" --dev-verdicts {run_dir(project, 0)}/dev/verdicts.h5 --out " in line
    assert f"{base(project)}/dev" not in line


@pytest.mark.parametrize("command, variables, line", [
    ("generate", {"REFRAIN_SPLIT": "validation"}, "REFRAIN_SPLIT is 'validation', neither test nor dev (unset it, or set "
                                                  "it to dev)"),
    ("generate", {"REFRAIN_SPLIT": "dev"},
     "not set: REFRAIN_DEV_PROMPTS (export in env/site.sh or the submitting shell: REFRAIN_DEV_PROMPTS=prompts to choose "
     "by, none of the test's)"),
    ("generate", {"REFRAIN_SPLIT": "dev", "REFRAIN_DEV_PROMPTS": "prompts.jsonl"},
     "REFRAIN_DEV_PROMPTS names a file of REFRAIN_PROMPTS [prompts.jsonl] (nothing is chosen by the test's prompts: name "
     "others)"),
    ("report", {"REFRAIN_SPLIT": "dev"},
     "REFRAIN_SPLIT is dev, and the report is about the test (unset it, or rank by refrain-study rank)"),
])
def test_bad_settings_are_one_line(project, command, variables, line):
    _, err = study(project, command, exit_code=2, **variables)
    check_line("study", err, line)
    assert not words_of(project, "generate")


def test_pruned_members_are_left_out_of_what_follows(project):
    study(project, "generate", "--index", 0)
    study(project, "generate", "--index", 2)
    pruned = run_dir(project, 1)
    (pruned / "final/manifest.json").unlink()
    (pruned / "pruned.json").write_text("{}")
    _, err = study(project, "generate", "--index", 1, exit_code=1)
    check_line("study", err, f"the weights of {STUDY}/{MEMBERS[1]} were dropped after training [{pruned}] (remove the "
                             f"folder, then refrain-study member {STUDY} --index 1 trains it again)")
    _, err = study(project, "judge")
    assert f"left out: the weights of {STUDY}/{MEMBERS[1]} were dropped after training" in err
