"""refrain-generate where a server, or the disk, fails for good: what is kept, what is told, and how the job goes on."""

import json

import pytest

from chat_server import ChatServer, completion, status
from disks import small_disk
from generating import Case, prompt
from response_files import ERROR, STOP, journal_lines, read_responses


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_requests_that_are_never_answered_do_not_keep_the_others_from_their_file(case):
    """They are all that one rank has, then all that is left: failed, since the server answers."""
    case.prompts([prompt(i) for i in range(8)])
    dies = status(500, {"error": {"message": "worker died"}})
    with ChatServer({f"restricted activity {i}": [dies] * 99 for i in range(0, 8, 2)}) as server:
        line = f"the server gives no answers: HTTP 500: worker died [{server.url}/chat/completions] (check that it runs"
        said = case.ask(server, "--endpoint-tries", 1, ranks=2, exit_code=1).stderr
        assert line in said and not case.out.exists() and len(journal_lines(case.out)) == 4
        said = case.ask(server, "--endpoint-tries", 1, ranks=2).stderr
        assert "4 of 8 answers are there already" in said
        assert "of these 4 failed and are empty: start again to make these requests again" in said
    rows = read_responses(case.out)
    assert [row["row_id"] for row in rows if row["finish"] == ERROR] == [0, 2, 4, 6]
    assert [row["text"] for row in rows if row["finish"] == STOP] == [f"answer 0 to restricted activity {i}"
                                                                      for i in range(1, 8, 2)]
    with ChatServer() as server:
        case.ask(server)
        assert server.tries() == {f"restricted activity {i}": 1 for i in range(0, 8, 2)}


def filled(folder, then):
    """Fills the disk at `folder` up, and goes on as `then`."""
    def fault(handler, body):
        with open(folder / "fill", "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        then(handler, body)
    return fault


def right(handler, body):
    handler.reply(200, json.dumps(completion(body)).encode())


def test_a_full_disk_is_told_and_costs_nothing_that_was_committed(case):
    case.prompts([prompt(i) for i in range(40)])
    with small_disk(case.folder / "disk", "400k") as disk, ChatServer() as server:
        case.out = disk / "answers.h5"
        server.faults = {"restricted activity 20": [filled(disk, right)]}
        said = case.ask(server, "--endpoint-concurrency", 1, exit_code=1).stderr
        line, = [line for line in said.splitlines() if line.startswith("refrain-generate: ")]
        assert line == (f"refrain-generate: cannot write: No space left on device [{case.out}.parts/rank-0-1.jsonl] (free "
                        "space, then start again: what was committed is kept)")
        kept = len(journal_lines(case.out))
        assert 16 <= kept < 40
        (disk / "fill").unlink()
        before = server.tries()
        case.ask(server)
        assert sum((server.tries() - before).values()) == 40 - kept
        assert [row["text"] for row in read_responses(case.out)] == [f"answer 0 to restricted activity {i}"
                                                                    for i in range(40)]


def test_a_full_disk_does_not_hide_why_the_job_ends(case):
    case.prompts([prompt(i) for i in range(4)])
    with small_disk(case.folder / "disk", "400k") as disk, ChatServer() as server:
        case.out = disk / "answers.h5"
        server.faults = {"restricted activity 2": [filled(disk, status(401))]}
        said = case.ask(server, "--endpoint-concurrency", 1, exit_code=1).stderr
        assert said.splitlines()[-1] == (f"refrain-generate: HTTP 401 [{server.url}/chat/completions] (set REFRAIN_API_KEY "
                                         "to a key that this server takes)")
        assert not journal_lines(case.out)
