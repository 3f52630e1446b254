"""refrain-study rank and prune: the best by a dev split stay, the others' weights go, by refrain-report's own ranking."""

import json
import os
import pathlib
import subprocess

import pytest
import refrain
from refrain import check_line
from run_folders import write_run
from study_project import STUDY, calls, environment, executable, make_project, start, stop, wait_for

ACCURACIES = [0.7, 0.9, 0.8, 0.8]


@pytest.fixture
def project(tmp_path):
    """A sweep of five members: four trained, with weights of 1,000 bytes each, and one that has not finished."""
    root = make_project(tmp_path)
    report = root / "bin/refrain-report"
    report.unlink()
    report.symlink_to(refrain.BIN / "refrain-report")
    executable(root / "squeue", "#!/bin/sh\n")
    (root / "betas.json").write_text(json.dumps({"grid": {"beta": [0.1, 0.2, 0.3, 0.4, 0.5]}}))
    for i, accuracy in enumerate([*ACCURACIES, 0.1]):
        folder = write_run(run_dir(root, i), beta=(i + 1) / 10, steps=2, state="finished" if i < 4 else "stopped",
                           evaluation={"rewards/accuracies": accuracy, "rewards/margins": 1 - accuracy})
        for name in ("final", "checkpoints/step-2"):
            (folder / name).mkdir(parents=True)
        (folder / "checkpoints/latest").symlink_to("step-2" if i == 4 else "../final")
        (folder / "checkpoints/step-2/optimizer.h5").write_bytes(b"o" * 400)
        (folder / "final/manifest.json").write_bytes(b"m" * 600)
    return root


def run_dir(root, i):
    return root / "runs" / STUDY / f"beta=0.{i + 1},lr=1e-6,seed=42"


def study(root, command, *words, exit_code=0, **extra):
    done = subprocess.run([root / "bin/refrain-study", command, STUDY, "--sweep", root / "betas.json", *map(str, words)],
                          capture_output=True, cwd=root, text=True, timeout=60,
                          env=environment(root, PATH=f"{root}:{os.environ['PATH']}", **extra))
    assert done.returncode == exit_code, done.stderr
    return done.stdout, done.stderr


def with_weights(root):
    return [i for i in range(5) if (run_dir(root, i) / "final").exists() and (run_dir(root, i) / "checkpoints").exists()]


def test_a_ranking_is_a_report_of_its_own(project):
    out, _ = study(project, "rank")
    table, page = out.splitlines()[:-1], pathlib.Path(out.splitlines()[-1])
    names = [f"{STUDY}/{run_dir(project, i).name}" for i in range(5)]
    assert [line.split() for line in table] == [
        ["run", "accuracy", "place", "margin", "place"], [names[1], "0.9", "1", "0.1", "4"],
        [names[2], "0.8", "2", "0.2", "2"], [names[3], "0.8", "2", "0.2", "2"], [names[0], "0.7", "4", "0.3", "1"],
        [names[4], "0.1", "-", "0.9", "-"]]
    assert page == project / "runs" / STUDY / "ranking/report.html" and "Ranking by the dev split" in page.read_text()
    out, _ = study(project, "rank", "--dry-run")
    assert "refrain-report' --runs " in out and out.endswith(f"--out '{page.parent}'\n")


def test_nothing_goes_unless_it_is_asked_for(project):
    for words in ([], ["--drop-weights", "--dry-run"]):
        out, err = study(project, "prune", "--keep", 1, *words)
        lines = out.splitlines()
        assert [line.split()[:3] for line in lines[:3]] == [[run_dir(project, i).name, "place", place]
                                                            for i, place in ((2, "2"), (3, "2"), (0, "4"))]
        assert lines[0] == f"{run_dir(project, 2).name}  place 2  dev-accuracy 0.8  1000 B" and len(lines) == 4
        assert "4 of 5 members have a place by dev-accuracy yet: the others keep their weights\n" in err
        assert "1 ranked member keeps its weights\n" in err
        assert lines[-1].endswith(" would go") and "nothing was dropped: --drop-weights does it" in err
        assert with_weights(project) == [0, 1, 2, 3, 4]


def test_losers_keep_all_but_their_weights(project):
    before = {path: path.read_bytes() for i in range(5) for path in run_dir(project, i).iterdir() if path.is_file()}
    out, _ = study(project, "prune", "--keep", 2, "--by", "dev-accuracy", "--drop-weights")
    # Place 2 is shared, so three stay; the one that has not finished has no place.
    assert out.splitlines() == [f"{run_dir(project, 0).name}  place 4  dev-accuracy 0.7  1000 B", "1000 B dropped"]
    assert with_weights(project) == [1, 2, 3, 4]
    assert all(path.read_bytes() == data for path, data in before.items())
    record = json.loads((run_dir(project, 0) / "pruned.json").read_text())
    assert (record["by"], record["place"], record["value"], record["bytes"]) == ("dev-accuracy", 4, "0.7", 1000)

    # It is finished for good: neither trained nor pruned again, and still ranked.
    out, err = study(project, "submit", "--dry-run")
    assert ": 0-3 finished, 4 to be trained" in err and "--array=4 " in out
    _, err = study(project, "member", "--index", 0)
    assert "this member has finished, and its weights were dropped" in err and not calls(project)
    out, err = study(project, "prune", "--keep", 2, "--drop-weights")
    assert out.splitlines() == ["0 B dropped"]
    assert "3 ranked members keep their weights: the best 2, and 1 equal of the last\n" in err


def test_pruned_members_take_no_place_among_those_that_stay(project):
    """The best by one measure are the worst by the other."""
    study(project, "prune", "--keep", 1, "--by", "dev-margin", "--drop-weights")
    assert with_weights(project) == [0, 4]
    out, err = study(project, "prune", "--keep", 1, "--drop-weights")
    assert out == "0 B dropped\n" and "1 ranked member keeps its weights\n" in err
    assert with_weights(project) == [0, 4]


def test_values_are_written_as_people_read_them(project):
    with open(run_dir(project, 0) / "metrics.jsonl", "a") as rows:
        rows.write('{"step": 2, "eval_loss": 0.5, "eval_rewards/accuracies": 0.02036503553390503}\n')
    out, _ = study(project, "prune", "--keep", 3)
    assert out.startswith(f"{run_dir(project, 0).name}  place 4  dev-accuracy 0.02037  ")


def test_other_measures_keep_others(project):
    study(project, "prune", "--keep", 1, "--by", "dev-margin", "--drop-weights")
    assert with_weights(project) == [0, 4]


def test_a_prune_that_was_cut_off_goes_on(project):
    (run_dir(project, 0) / "pruned.json").write_text("{}")
    (run_dir(project, 0) / "final/manifest.json").unlink()
    study(project, "prune", "--keep", 3, "--drop-weights")
    assert with_weights(project) == [1, 2, 3, 4] and not (run_dir(project, 0) / "checkpoints").exists()


def test_a_member_that_answers_keeps_its_weights(project):
    (project / "prompts.jsonl").write_text('{"prompt": "restricted activity 17"}\n')
    answering = start(project, "generate", STUDY, "--sweep", project / "betas.json", FAKE="wait generate")
    wait_for(project, "waiting")
    _, err = study(project, "prune", "--keep", 3, "--drop-weights", exit_code=1)
    assert f"[{run_dir(project, 0)}/responses.h5.lock]" in err and len(with_weights(project)) == 5
    assert stop(answering)[0] == 85
    study(project, "prune", "--keep", 3, "--drop-weights")
    assert with_weights(project) == [1, 2, 3, 4]


@pytest.mark.parametrize("words, line, exit_code", [
    (["--drop-weights"], "option --keep is missing (add --keep N: as many of the best members keep their weights, and "
                         "equals of the last)", 2),
    (["--keep", 0], "--keep: 0 is out of range (give a whole number of at least 1)", 2),
    (["--keep", 1, "--by", "asr"], "--by: 'asr' is not one of dev-accuracy, dev-margin, dev-asr (give one of them)", 2),
    (["--keep", 1, "--by", "dev-asr", "--drop-weights"],
     "no finished member of the sweep has a dev asr [{folder}] (answer and judge dev prompts: REFRAIN_SPLIT=dev, "
     "docs/sweeps.md tells how)", 1),
])
def test_bad_requests_are_one_line_and_drop_nothing(project, words, line, exit_code):
    _, err = study(project, "prune", *words, exit_code=exit_code)
    check_line("study", err, line.format(folder=project / "runs" / STUDY))
    assert with_weights(project) == [0, 1, 2, 3, 4]


def test_a_sweep_without_held_out_pairs_cannot_be_ranked(project):
    for i in range(5):
        (run_dir(project, i) / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    _, err = study(project, "rank", exit_code=1)
    check_line("study", err, "no member of the sweep was evaluated on a dev split "
                             f"[{project}/runs/{STUDY}] (train with held-out pairs: REFRAIN_SHARD_ARGS=\"--dev-fraction "
                             "0.05\")")
    _, err = study(project, "rank", exit_code=1, REFRAIN_RUNS=str(project / "none"))
    check_line("study", err, f"no member of the sweep has begun [{project}/none/{STUDY}] (refrain-study submit {STUDY})")
