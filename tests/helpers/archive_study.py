"""A folder of runs as refrain-study leaves it: two members with curves, answers and verdicts, the model before training,
a report. Made without the project's programs. Answers are harmless placeholders."""

import hashlib
import json

import h5py
import numpy

from run_folders import seal, write_run
from verdict_files import write_responses, write_verdicts

STUDY = "dpo_8b_balanced"
MEMBERS = ("beta=0.1,lr=1e-6,seed=42", "beta=0.3,lr=1e-6,seed=42")
RUNS = (*[f"{STUDY}/{member}" for member in MEMBERS], "base/model")
CATEGORIES = ("S1", "S4", "S2", "", "S14", "S10")
LAYOUT = {"tensor_parallel": 2, "data_parallel": 1, "device": "cpu"}
LIBRARIES = {"HDF5": "1.10.8"}
# Whatever names people, places and jobs: none of it may be in an anonymous archive.
SECRETS = ("node1234", "987654", "some.body", "project_465", "scratch", "10.1.2.3", "node[1-4]")
PRIVATE = {"host": "node1234", "slurm": {"SLURM_JOB_ID": "987654", "SLURM_JOB_NODELIST": "node[1-4]"},
           "user": "some.body", "account": "project_465", "started": "2026-01-31T12:00:00Z"}
PLACES = {"responses": "/scratch/project_465/some.body/r.h5", "endpoint": "http://10.1.2.3/v1", "seed": 42,
          "temperature": 0.0, "max-new-tokens": 64}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def provenance(program, **more):
    return {"program": program, "version": "0.1.0", "git_revision": "abc", "libraries": LIBRARIES, **PRIVATE,
            "options": PLACES, "inputs": {"/scratch/project_465/prompts.h5": "ab" * 32}, **more}


def answer_rows(count=12, languages=("en", "de")):
    return [{"row_id": row_id, "language": language, "category": CATEGORIES[row_id % len(CATEGORIES)],
             "id": f"{language}-{row_id}", "prompt": f"Tell me of restricted activity {row_id} ({language}).",
             "text": f"Restricted activity {row_id} in {language}, step {row_id * 17}."}
            for row_id in range(count) for language in languages]


def judged(rows, unsafe_every):
    """Final labels, and two guards of which one calls one answer more unsafe, and is silent about another."""
    for row in rows:
        row["final"] = int(row["row_id"] % unsafe_every == 0)
    rows[-1]["final"] = -1
    labels = [max(row["final"], 0) for row in rows]
    second = list(labels)
    second[4], second[10] = 1, -1
    return {"guard-one": ("safety", {"label": labels, "categories": ["S4" if i == 8 else "" for i in range(len(rows))]}),
            "guard-two": ("safety", {"label": second, "score": [0.5] * len(rows), "answer": ["safe"] * len(rows)})}


def columns(path, schema, values):
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file.attrs["schema"] = numpy.bytes_(schema)
        file.attrs["provenance"] = numpy.bytes_(json.dumps(provenance("refrain-train")))
        for name, column in values.items():
            file.create_dataset(name, data=column, chunks=(len(column),), fletcher32=True)


def add_tokens(path, lengths):
    """Token ids 0, 1, 2, ... in a file of answers that has none."""
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        for name, values, dtype in (("/response/begin", numpy.cumsum([0, *lengths[:-1]]), "i8"),
                                    ("/response/length", lengths, "i4"),
                                    ("/tokens", numpy.arange(sum(lengths)), "i4")):
            if name in file:
                del file[name]
            file.create_dataset(name, data=numpy.asarray(values, dtype), chunks=(len(values),), fletcher32=True)


def write_answers(folder, unsafe_every, tokens=False):
    """responses.h5, verdicts/ and verdicts.h5. Returns the rows."""
    rows = answer_rows()
    judges = judged(rows, unsafe_every)
    write_responses(folder / "responses.h5", rows, provenance("refrain-generate"))
    if tokens:
        add_tokens(folder / "responses.h5", [3 + row["row_id"] for row in rows])
    of = {"responses_sha256": sha256(folder / "responses.h5"), "responses": provenance("refrain-generate"),
          "judges": {"guard-one": {"definition": "cd" * 32}}}
    (folder / "verdicts").mkdir()
    for name, judge in judges.items():
        write_verdicts(folder / f"verdicts/{name}.h5", rows, {name: judge}, final=False,
                       provenance=provenance("refrain-judge", **of))
    write_verdicts(folder / "verdicts.h5", rows, judges, provenance=provenance("refrain-judge", **of))
    return rows


def write_member(folder, **identity):
    write_run(folder, endings=(("2026-01-31T13:00:00Z", "finished"),), pairs=None, **identity)
    start = {"time": "2026-01-31T12:00:00Z", "first_step": 0, "provenance": provenance("refrain-train", layout=LAYOUT)}
    record = json.loads((folder / "run.json").read_text())
    record.pop("sha256")
    record["identity"].update(pairs="12" * 32, init="34" * 32)
    seal(folder / "run.json", record | {"provenance": start["provenance"], "starts": [start]})
    seal(folder / "status.json", {"state": "finished", "step": 39, "steps": 39, "error": "rank 3 on node1234 was slow"})
    seal(folder / "eval.json", {"after": {"step": 39, "languages": {"en": {"loss": 0.5}}}})
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    columns(folder / "metrics.h5", "metrics.v1", {"/metrics/step": numpy.array([row["step"] for row in rows]),
                                                  "/metrics/loss": numpy.array([row.get("loss", numpy.nan) for row in rows])})
    columns(folder / "reference.h5", "reference.v1", {"/reference/chosen_logp": numpy.linspace(-9, -1, 50),
                                                      "/reference/rejected_logp": numpy.linspace(-8, -2, 50)})
    starts = {"time": "2026-01-31T13:00:00Z", "job": "987654_0", "host": "node1234", "exit": 0, "ending": "finished",
              "command": "srun refrain-train --pairs /scratch/project_465/pairs.h5"}
    (folder.parent / f"{folder.name}.starts.jsonl").write_text(json.dumps(starts) + "\n")
    final = folder / "final"
    final.mkdir()
    seal(final / "manifest.json", {"version": 1, "provenance": provenance("refrain-train")})
    (final / "weights-00001-of-00001.h5").write_bytes(numpy.random.default_rng(1).bytes(50_000))
    (final / "config.json").write_text('{"model_type": "llama"}\n')
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/latest").symlink_to("../final")
    (folder / ".heartbeat").mkdir()


def write_report(folder, **options):
    folder.mkdir()
    record = provenance("refrain-report") | {"options": {"verdicts": ["/scratch/v.h5"], **options}}
    (folder / "report.json").write_text(json.dumps(record))
    (folder / "report.html").write_text("<p>Restricted activity 0, as an example</p>\n")
    (folder / "asr.csv").write_text("name,language,n\nbase,all,24\n")
    (folder / "asr.svg").write_text("<svg/>\n")
    (folder / "notes.txt").write_text("mine\n")


def write_study(runs):
    """The folder `runs`, with what stands in REFRAIN_RUNS."""
    for member, beta, unsafe in zip(MEMBERS, (0.1, 0.3), (6, 4)):
        folder = runs / STUDY / member
        write_member(folder, beta=beta)
        write_answers(folder, unsafe, tokens=beta == 0.1)
    base = runs / "base/model"
    base.mkdir(parents=True)
    write_answers(base, 2)
    record = {"options": ["--pairs", "/scratch/project_465/p.jsonl", "--configuration", "balanced"],
              "sha256": {"/scratch/project_465/p.jsonl": "ef" * 32}}
    (runs / STUDY / "pairs.json").write_text(json.dumps(record, indent=2) + "\n")
    write_report(runs / STUDY / "report")
    (runs / STUDY / "dpo_8b_balanced-987654_0.log").write_text("srun ...\n")
    return runs


def datasets(path):
    """What an archive holds: manifest and {path: bytes}."""
    files = {}
    with h5py.File(path) as archive:
        archive["files"].visititems(
            lambda name, item: files.update({name: item[:].tobytes()}) if isinstance(item, h5py.Dataset) else None)
        return json.loads(archive["manifest"][:].tobytes()), files


def files_below(folder):
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.is_symlink()}
