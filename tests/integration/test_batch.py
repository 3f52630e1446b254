"""OpenAI Batch files: what is written, and what is read of the results."""

import json
import random
import stat

import pytest

from chat_server import MODEL, answers, asked, completion, files, write_requests
from refrain import fails, run


def write_batch(folder, requests, *options, **keywords):
    """Runs with --batch-out folder/batch.jsonl. Returns the files, as lists of lines."""
    write_requests(folder / "requests.jsonl", requests)
    done = run("endpoint", *files(folder), "--model", MODEL,
               "--batch-out", folder / "batch.jsonl", *options, **keywords)
    return {path.split("/")[-1]: open(path).read().splitlines() for path in json.loads(done.stdout)}, done.stderr


def result(custom_id, n=1, **body):
    """What OpenAI returns for a request."""
    answer = completion({"messages": [{"content": custom_id}], "model": MODEL, "n": n})
    return {"id": f"batch_req_{custom_id}", "custom_id": custom_id, "error": None,
            "response": {"status_code": 200, "request_id": "x", "body": {**answer, **body}}}


def failure(custom_id, code=400, message="too long"):
    """What it returns where the model refuses."""
    return {"custom_id": custom_id, "error": None,
            "response": {"status_code": code, "body": {"error": {"message": message}}}}


def read(folder, requests, *results):
    """Runs with --batch-in over files of such rows. Returns the answers, the tally and what was said."""
    write_requests(folder / "requests.jsonl", requests)
    paths = [write_requests(folder / f"results-{number}.jsonl", rows) for number, rows in enumerate(results)]
    done = run("endpoint", *files(folder), "--batch-in", *paths)
    return answers(folder), json.loads(done.stdout), done.stderr


def test_the_requests_are_openais(tmp_path):
    requests = [asked("row-0", max_tokens=9, temperature=0.7, seed=3, stop=["#"], n=2), asked("řádek-1")]
    written, said = write_batch(tmp_path, requests)
    assert said == "" and list(written) == ["batch.jsonl"]
    rows = [json.loads(line) for line in written["batch.jsonl"]]
    assert rows[0] == {"custom_id": "row-0", "method": "POST", "url": "/v1/chat/completions",
                       "body": {"model": MODEL, "messages": [{"role": "user", "content": "row-0"}], "max_tokens": 9,
                                "temperature": 0.7, "seed": 3, "stop": ["#"], "n": 2}}
    assert rows[1] == {"custom_id": "řádek-1", "method": "POST", "url": "/v1/chat/completions",
                       "body": {"model": MODEL, "messages": [{"role": "user", "content": "řádek-1"}]}}
    assert stat.S_IMODE((tmp_path / "batch.jsonl").stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.tmp"))


def test_more_than_a_batch_takes_is_divided(tmp_path):
    requests = [asked(f"row-{i}") for i in range(100_001)]
    written, said = write_batch(tmp_path, requests)
    assert {name: len(lines) for name, lines in written.items()} == {
        "batch-00001-of-00003.jsonl": 50_000, "batch-00002-of-00003.jsonl": 50_000, "batch-00003-of-00003.jsonl": 1}
    assert said[9:] == (f"requests are in 3 files, {tmp_path}/batch-00001-of-00003.jsonl and those that follow it: a "
                        "batch takes 50000 requests and 200000000 bytes at most\n")
    ids = [json.loads(line)["custom_id"] for lines in written.values() for line in lines]
    assert ids == [request["custom_id"] for request in requests]


def test_what_is_written_comes_back(tmp_path):
    """As a server of batches would answer: in another order, in several files."""
    requests = [asked(f"row-{i}", n=1 + i % 3) for i in range(50)]
    written, _ = write_batch(tmp_path, requests)
    rows = [result(row["custom_id"], row["body"].get("n", 1)) for row in map(json.loads, written["batch.jsonl"])]
    random.Random(1).shuffle(rows)
    got, tally, said = read(tmp_path, requests, rows[:20], rows[20:])
    assert tally == {"answered": 50, "failed": 0, "missing": [], "foreign": []} and said == ""
    for i in range(50):
        assert [completion["text"] for completion in got[f"row-{i}"]["completions"]] == [
            f"answer {j} to row-{i}" for j in range(1 + i % 3)]
    assert got["row-1"]["model"] == MODEL and got["row-1"]["usage"] == {"prompt_tokens": 5, "completion_tokens": 6}


def test_errors_of_rows(tmp_path):
    lines = {
        "refused": (failure("refused"), "HTTP 400: too long"),
        "late": ({"custom_id": "late", "response": None,
                  "error": {"code": "batch_expired", "message": "The window\nended."}},
                 "the batch has an error: The window ended."),
        "silent": ({"custom_id": "silent", "response": None, "error": {"code": 7}}, "the batch has an error"),
        "vllm": ({"custom_id": "vllm", "response": {"status_code": 400, "body": None},
                  "error": {"object": "error", "message": "no such model", "code": 404}}, "HTTP 400: no such model"),
        "server": ({"custom_id": "server", "error": None, "response": {"status_code": 500, "body": {}}}, "HTTP 500"),
        "empty": (result("empty", choices=[]), "the answer is no chat completion: it has 0 choices, 1 asked for"),
        "bodiless": ({"custom_id": "bodiless", "error": None, "response": {"status_code": 200}},
                     "the answer is no chat completion: it is of type null, not an object"),
    }
    requests = [asked("fine"), *map(asked, lines)]
    got, tally, said = read(tmp_path, requests, [result("fine"), *(row for row, _ in lines.values())])
    assert tally == {"answered": 1, "failed": 7, "missing": [], "foreign": []} and said == ""
    assert {name: row["error"] for name, row in got.items()} == {
        "fine": "", **{name: error for name, (_, error) in lines.items()}}


def test_missing_and_foreign_results_are_named(tmp_path):
    requests = [asked(f"row-{i}") for i in range(10)]
    rows = [result(f"row-{i}") for i in (9, 1)] + [result("other-1"), failure("other-2")]
    got, tally, said = read(tmp_path, requests, rows)
    missing = [f"row-{i}" for i in (0, 2, 3, 4, 5, 6, 7, 8)]
    assert tally == {"answered": 2, "failed": 0, "missing": missing, "foreign": ["other-1", "other-2"]}
    assert sorted(got) == ["row-1", "row-9"]
    assert [line[9:] for line in said.splitlines()] == [
        "warning: no result for 8 of 10 requests: row-0, row-2, row-3, row-4, row-5 and 3 more",
        "warning: 2 results belong to no request: other-1, other-2"]


def test_an_answer_goes_before_an_error(tmp_path):
    """Requests that failed in one batch are sent again in another; an error's row may come first or last."""
    requests = [asked("a"), asked("b"), asked("c")]
    got, tally, _ = read(tmp_path, requests, [failure("a"), result("b"), failure("c", message="first")],
                         [result("a"), failure("b"), failure("c", message="second")])
    assert (tally["answered"], tally["failed"]) == (2, 1)
    assert {name: row["error"] for name, row in got.items()} == {"a": "", "b": "", "c": "HTTP 400: first"}


ROWS = {
    "broken": ('{"custom_id": "a", ',
               "broken JSON at byte 20 [{file}:line 2] (each line must be one whole JSON object)"),
    "no object": ("[1]", "the line is of type array, not an object [{file}:line 2] (give the result files of a batch)"),
    "a request": (json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {}}),
                  "this is a request, not a result [{file}:line 2] (give the files that came back, not those of "
                  "--batch-out)"),
    "no id": ('{"response": {}}', "the result has no custom_id [{file}:line 2] (give the result files of a batch)"),
    "a number for an id": ('{"custom_id": 3}',
                           "the result has no custom_id [{file}:line 2] (give the result files of a batch)"),
    "nothing said": ('{"custom_id": "a", "response": null, "error": null}',
                     "the result has neither a response nor an error [{file}:line 2] (download the results again)"),
    "no status": ('{"custom_id": "a", "response": {"body": {}}}',
                  "the response has no status_code [{file}:line 2] (download the results again)"),
    "a second answer": (json.dumps(result("b")),
                        "custom_id b has a second answer; the first is in {file}:line 1 [{file}:line 2] (give each "
                        "result file once, and those of one batch)"),
}


@pytest.mark.parametrize("name", ROWS)
def test_bad_row(tmp_path, name):
    text, line = ROWS[name]
    file = tmp_path / "results.jsonl"
    file.write_text(json.dumps(result("b")) + "\n" + text + "\n")
    write_requests(tmp_path / "requests.jsonl", [asked("a"), asked("b")])
    fails("endpoint", *files(tmp_path), "--batch-in", file,
          line=line.replace("{file}", str(file)))


def test_an_empty_file(tmp_path):
    (tmp_path / "results.jsonl").touch()
    write_requests(tmp_path / "requests.jsonl", [asked("a")])
    fails("endpoint", *files(tmp_path), "--batch-in",
          tmp_path / "results.jsonl", line=f"the file is empty [{tmp_path}/results.jsonl] (download the results again)")


def test_no_requests_and_a_folder_that_is_not_there(tmp_path):
    def refused(requests, out, line):
        write_requests(tmp_path / "requests.jsonl", requests)
        fails("endpoint", *files(tmp_path), "--model", MODEL,
              "--batch-out", out, line=line)
    refused([], tmp_path / "batch.jsonl", f"there are no requests to write [{tmp_path}/batch.jsonl] (check the input)")
    refused([asked("a")], tmp_path / "none/batch.jsonl",
            f"cannot write the file: No such file or directory [{tmp_path}/none/batch.jsonl] (check the path)")
