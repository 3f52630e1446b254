"""Files of answers, read without the project's code."""

import contextlib

from verdict_files import read_columns

COLUMNS = ("row_id", "sample", "finish", "id", "language", "category", "style", "prompt", "text", "prompt_digest")
STOP, LENGTH, ERROR = 0, 1, 2


def read_responses(path):
    """A list of {row_id, sample, finish, id, language, category, style, prompt, text, prompt_digest}."""
    columns = read_columns(path, "response")
    return [dict(zip(COLUMNS, values)) for values in zip(*(columns[name] for name in COLUMNS), strict=True)]


def journal_lines(out):
    """Whole lines that a job which makes `out` has committed; none once it has made it."""
    parts = out.with_name(out.name + ".parts")
    with contextlib.suppress(FileNotFoundError):  # removed just now
        return [line for path in parts.glob("*.jsonl") for line in path.read_text().splitlines(True) if line.endswith("\n")]
    return []
