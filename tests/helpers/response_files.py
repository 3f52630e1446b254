"""Files of answers, read without the project's code."""

import contextlib

import h5py

from shard_files import text_column

NUMBERS = ("row_id", "sample", "finish")
TEXTS = ("id", "language", "category", "style", "prompt", "text", "prompt_digest")
STOP, LENGTH, ERROR = 0, 1, 2


def read_responses(path):
    """A list of {row_id, sample, finish, id, language, category, style, prompt, text, prompt_digest}."""
    with h5py.File(path) as file:
        columns = {name: file[f"response/{name}"][()].tolist() for name in NUMBERS}
        columns |= {name: text_column(file, f"response/{name}") for name in TEXTS}
    return [dict(zip(columns, values)) for values in zip(*columns.values(), strict=True)]


def journal_lines(out):
    """Whole lines that a job which makes `out` has committed; none once it has made it."""
    parts = out.with_name(out.name + ".parts")
    with contextlib.suppress(FileNotFoundError):  # removed just now
        return [line for path in parts.glob("*.jsonl") for line in path.read_text().splitlines(True) if line.endswith("\n")]
    return []
