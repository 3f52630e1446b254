"""Sweeps on a Slurm of four nodes: submitted, failed in part, resubmitted, ranked, pruned; and scripts whose settings are
not complete."""

import csv
import json
import os

import pytest
import refrain

from cluster import first_steps, site_on, starts, status, wait_for_step, wait_until

STUDY = "dpo_8b_balanced"
TRAIN_ARGS = "--max-steps 12 --epochs 12 --global-batch-pairs 16 --checkpoint-every 3 --timeout 300"

site = site_on("--nodes", 4, "--cpus", 4)


def study(site, *words, check=True, **variables):
    """refrain-study on the login node, with the site's settings sourced. What it printed on stdout and stderr."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_", "REFRAIN_"))}
    line = '. "$1"; shift; "$@" 2>&1'
    return site.cluster.login("bash", "-c", line, "bash", site.home / "env/site.sh", refrain.BIN / "refrain-study", *words,
                              check=check, cwd=site.submit_folder,
                              env={**kept, "REFRAIN_HOME": str(site.home),
                                   **{name: str(value) for name, value in variables.items()}})


def test_a_sweep_is_submitted_and_what_fails_is_submitted_again(site):
    sweep = site.root / "betas.json"
    sweep.write_text(json.dumps({"grid": {"beta": [0.1, 0.3]}}))
    variables = {"REFRAIN_TENSOR_PARALLEL": 2, "REFRAIN_SHARD_ARGS": "--dev-fraction 0.25"}
    with open(site.home / "env/site.sh", "a", encoding="utf-8") as file:
        file.write(f"export REFRAIN_TRAIN_ARGS='{TRAIN_ARGS}'\n")
    runs = [site.root / "runs" / STUDY / f"beta={beta},lr=1e-6,seed=42" for beta in (0.1, 0.3)]
    # 28 bytes a parameter: there is room for one member and a half.
    room = 1.5 * 28 * parameters(site.model) / 1e12
    submit = lambda *words, **more: study(site, "submit", STUDY, "--sweep", sweep, *words, **variables, **more)
    said = submit(REFRAIN_DISK_TB=f"{room:.12f}")
    job = said.splitlines()[-1]
    assert "--array=0-1%1 " in said and f"{STUDY}, sweep {sweep}: 0-1 to be trained" in said

    said = submit(check=False)
    assert said.splitlines()[-1].startswith(
        f"refrain-study: all members of this sweep that have not finished are under way: job {job}_0 has member 0 [")

    wait_for_step(runs[0], 4)
    node = site.cluster.record(f"{job}_0")["NodeList"].removeprefix("n")
    # A fault that would come again: no checkpoint can be written. (A rank that is killed would be requeued.)
    checkpoints, kept = runs[0] / "checkpoints", site.root / "kept"
    site.cluster.node(node, "pkill", "-STOP", "-x", "refrain-train")
    checkpoints.rename(kept)
    checkpoints.write_text("no folder")
    site.cluster.node(node, "pkill", "-CONT", "-x", "refrain-train")
    wait_until(lambda: status(runs[0])["state"] == "failed", "member 0 fails", lambda: site.log(STUDY, job, 0))
    checkpoints.unlink()
    kept.rename(checkpoints)
    wait_until(lambda: status(runs[1])["state"] == "finished", "member 1 finishes", lambda: site.log(STUDY, job, 1))

    again = submit("--failed").splitlines()
    assert any("--array=0 " in line for line in again) and any(": 1 finished, 0 failed" in line for line in again)
    site.cluster.wait(f"{again[-1]}_0", "COMPLETED", "FAILED")
    assert [start["ending"] for start in starts(runs[0])] == ["failed", "finished"]
    assert first_steps(runs[0])[-1] >= 3  # from its last checkpoint
    assert "all members have finished: nothing to submit" in submit()

    study(site, "rank", STUDY, "--sweep", sweep, **variables)
    with open(site.root / "runs" / STUDY / "ranking/ranking.csv", newline="", encoding="utf-8") as file:
        ranking = list(csv.DictReader(file))
    assert {row["beta"] for row in ranking} == {"0.1", "0.3"} and all(row["accuracy_place"] for row in ranking)
    study(site, "prune", STUDY, "--sweep", sweep, "--keep", 1, "--by", "dev-margin", "--drop-weights", **variables)
    kept = [run for run in runs if (run / "final").exists()]
    places = {row["run"].split("/")[1]: int(row["margin_place"]) for row in ranking}
    assert kept == [run for run in runs if places[run.name] == 1]


def parameters(model):
    """Of the model's one safetensors file."""
    with open(model / "model.safetensors", "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    count = 0
    for name, tensor in header.items():
        size = 1
        for length in tensor.get("shape", []):
            size *= length
        count += size if name != "__metadata__" else 0
    return count


MEANINGS = {"REFRAIN_MODEL": "the Hugging Face folder or checkpoint to start from",
            "REFRAIN_PAIRS": "the preference files", "REFRAIN_RUNS": "the folder for run folders"}


@pytest.mark.parametrize("missing", [list(MEANINGS), *([name] for name in MEANINGS)], ids=["all", *MEANINGS])
def test_a_script_says_what_its_site_file_lacks(site, missing):
    values = {"REFRAIN_MODEL": site.model, "REFRAIN_PAIRS": site.pairs, "REFRAIN_RUNS": site.root / "runs"}
    site_file = site.home / "env/site.sh"
    kept = site_file.read_text()
    try:
        site_file.write_text("".join(f"export {name}='{value}'\n" for name, value in values.items()
                                     if name not in missing))
        job = site.submit("dpo_70b_balanced", "--array=0")
        site.cluster.wait(f"{job}_0", "FAILED", "COMPLETED")
        log = wait_until(lambda: site.log("dpo_70b_balanced", job, 0), "a log")
    finally:
        site_file.write_text(kept)
    what = ", ".join(f"{name}={MEANINGS[name]}" for name in missing)
    assert log.splitlines() == [f"refrain-study: not set: {', '.join(missing)} (export in env/site.sh or the submitting "
                                f"shell: {what})"]
