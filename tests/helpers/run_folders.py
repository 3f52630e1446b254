"""Folders as refrain-train leaves them, as far as refrain-report reads them, made without the project's code."""

import hashlib
import json
import os
import pathlib
import time

RECIPE = {"loss": "sigmoid", "beta": 0.1, "learning-rate": 1e-6, "epochs": 3.0, "global-batch-pairs": 64, "seed": 42}


def seal(path, value):
    """JSON that ends with the SHA-256 of what stands before that key."""
    body = json.dumps(value, indent=2)[:-2] + ",\n  "
    path.write_text(f'{body}"sha256": "{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n')


def myself():
    """This process, as a lock's file names its holder."""
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    start = int(pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return {"host": "here", "machine": f"{boot} {os.readlink('/proc/self/ns/pid')}", "pid": os.getpid(), "start": start}


def write_lock(folder, process, job="", age=0):
    lock = folder / "lock"
    lock.write_text(json.dumps({"token": "ab", "process": process, "slurm_job": job, "since": "2026-01-31T12:00:00Z"}))
    os.utime(lock, (time.time() - age, time.time() - age))


def claim_metrics(folder, size):
    """status.json of a finished run, by which metrics.jsonl has `size` bytes; whatever it has."""
    place = {"bytes": size, "xxh3": "0" * 32}
    seal(folder / "status.json", {"state": "finished", "metrics": place | {"before": place}})


def write_run(folder, *, starts=("2026-01-31T12:00:00Z",), updated="2026-01-31T13:30:00Z", state="finished", endings=(),
              steps=39, ranks=2, device="cpu", pairs=None, evaluation=None, **identity):
    """`starts`: their times; `endings`: (time, ending) of the lines of the record of starts; `evaluation`: what the last
    row says of held-out pairs, without the prefix eval_."""
    folder.mkdir(parents=True)
    layout = {"tensor_parallel": 1, "data_parallel": ranks, "device": device}
    provenance = {"program": "refrain-train", "git_revision": "abc", "host": "node7", "layout": layout}
    recipe = RECIPE | {"pairs": hashlib.sha256(pairs.read_bytes()).hexdigest() if pairs else ""} | identity
    seal(folder / "run.json", {"identity": recipe, "options": {"pairs": str(pairs or "")}, "provenance": provenance,
                               "starts": [{"time": time, "first_step": 0, "provenance": provenance} for time in starts]})
    seal(folder / "status.json", {"state": state, "updated": updated})
    rows = [{"step": i, "loss": 0.7 / i, "rewards/margins": i / 10, "rewards/accuracies": 1 - 1 / i}
            for i in range(1, steps + 1)]
    rows.append({"step": steps, "eval_loss": 0.5, **{f"eval_{key}": value for key, value in (evaluation or {}).items()}})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if endings:
        lines = [{"time": time, "ending": ending} for time, ending in endings]
        (folder.parent / f"{folder.name}.starts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
