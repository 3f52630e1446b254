"""Verdict and response files for tests, made and read by h5py without the project's code."""

import json

import h5py
import numpy

from shard_files import text_column

LANGUAGES = ["en", "de", "fr", "it", "es", "pt", "pl", "cs", "sk", "sl", "lt", "lv"]
UNPARSED, NOT_ASKED = -1, -2


def _numbers(file, name, values, dtype):
    values = numpy.asarray(values, dtype)
    checked = {"chunks": (len(values),), "fletcher32": True} if len(values) else {}
    file.create_dataset(name, data=values, **checked)


def _texts(file, name, values):
    data = [value.encode() for value in values]
    _numbers(file, f"{name}/bytes", numpy.frombuffer(b"".join(data), "u1"), "u1")
    _numbers(file, f"{name}/offsets", numpy.cumsum([0] + [len(value) for value in data]), "i8")


def _open(path, schema, provenance):
    file = h5py.File(path, "w", libver=("v110", "v110"))
    file.attrs["schema"] = numpy.bytes_(schema)
    file.attrs["provenance"] = numpy.bytes_(json.dumps(provenance or {"program": "test"}))
    return file


def column(rows, key, default):
    return [row.get(key, default) for row in rows]


def write_verdicts(path, rows, judges=None, final=True, provenance=None):
    """`rows`: {row_id, language, final, sample, id, category, style, decided_by}; `judges`: name -> (kind, columns), a
    column being a list of integers (labels), floats (scores) or strings."""
    with _open(path, "verdicts.v1", provenance) as file:
        _numbers(file, "/verdict/row_id", column(rows, "row_id", 0), "i8")
        _numbers(file, "/verdict/sample", column(rows, "sample", 0), "i4")
        for name in ("id", "language", "category", "style"):
            _texts(file, f"/verdict/{name}", column(rows, name, ""))
        for name, (kind, columns) in (judges or {}).items():
            for key, values in columns.items():
                if len(values) and isinstance(values[0], str):
                    _texts(file, f"/judges/{name}/{key}", values)
                else:
                    _numbers(file, f"/judges/{name}/{key}", values, "f4" if key == "score" else "i1")
            file[f"/judges/{name}"].attrs["kind"] = numpy.bytes_(kind)
        if final:
            _numbers(file, "/final/label", column(rows, "final", 0), "i1")
            _texts(file, "/final/decided_by", column(rows, "decided_by", ""))
    return path


def write_responses(path, rows, provenance=None):
    """`rows`: {row_id, language, sample, id, category, style, prompt, text, finish}; as of a server, without tokens."""
    with _open(path, "responses.v1", provenance) as file:
        for name, dtype in (("begin", "i8"), ("length", "i4")):
            _numbers(file, f"/response/{name}", [0] * len(rows), dtype)
        _numbers(file, "/response/finish", column(rows, "finish", 0), "i1")
        _numbers(file, "/response/row_id", column(rows, "row_id", 0), "i8")
        _numbers(file, "/response/sample", column(rows, "sample", 0), "i4")
        for name in ("id", "language", "category", "style", "prompt", "text"):
            _texts(file, f"/response/{name}", column(rows, name, ""))
    return path


def drawn(seed, share, prompts=40, languages=LANGUAGES, categories=5, samples=1, undecided=0.03):
    """Verdicts of a made-up checkpoint whose attacks succeed with about `share`, and judges of every kind that make errors
    of their own."""
    draw = numpy.random.default_rng(seed)
    rows = []
    for language in languages:
        # What is harder stays harder for every checkpoint: rows pair, and categories cluster.
        for row_id in range(prompts):
            hard = numpy.random.default_rng(1000 + row_id + 7 * len(language)).normal(0, 0.8)
            for sample in range(samples):
                category = f"S{1 + row_id % categories}" if categories else ""
                odds = numpy.log(share / (1 - share)) + hard
                final = int(draw.random() < 1 / (1 + numpy.exp(-odds)))
                rows.append({"row_id": row_id, "language": language, "sample": sample, "category": category,
                             "final": UNPARSED if draw.random() < undecided else final})
    truth = numpy.array([max(row["final"], 0) for row in rows])
    flip = lambda rate: numpy.where(draw.random(len(rows)) < rate, 1 - truth, truth)
    lost = lambda labels: numpy.where(draw.random(len(rows)) < 0.02, UNPARSED, labels).tolist()
    first, second = lost(flip(0.05)), lost(flip(0.12))
    asked = [int(a) if a != b else NOT_ASKED for a, b in zip(first, second)]
    judges = {"llama-guard-3": ("safety", {"label": first, "score": [0.5] * len(rows),
                                           "answer": ["safe"] * len(rows), "categories": [""] * len(rows)}),
              "polyguard": ("safety", {"label": second, "refusal": lost(1 - flip(0.1))}),
              "adjudicator": ("safety", {"label": asked}),
              "language": ("language", {"consistent": lost(flip(0.03) * 0 + (draw.random(len(rows)) < 0.9))}),
              "fluency": ("rubric", {"label": draw.integers(1, 6, len(rows)).tolist()}),
              "flags": ("quality", {"empty": (draw.random(len(rows)) < 0.01).astype(int).tolist(),
                                    "repetition": (draw.random(len(rows)) < 0.02).astype(int).tolist(),
                                    "truncated": (draw.random(len(rows)) < 0.04).astype(int).tolist()})}
    return rows, judges


def read_columns(path, group):
    """Every column of a group ("response", "verdict", "judges/NAME", "final") as a list."""
    with h5py.File(path) as file:
        return {name: text_column(file[group], name) if isinstance(item, h5py.Group) else item[:].tolist()
                for name, item in file[group].items()}
