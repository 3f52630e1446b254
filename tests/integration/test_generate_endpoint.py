"""refrain-generate through a server: what it asks, what becomes of faults, and that nothing is asked twice."""

import json
import random
import re
import signal

import h5py
import pytest

from chat_server import KEY, MODEL, ChatServer, changed, cut, silent, status
from generating import Case, prompt
from processes import Running
from refrain import run
from response_files import ERROR, LENGTH, STOP, journal_lines, read_responses
from shard_files import provenance, write_jsonl


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_answers_are_the_servers(case):
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "first"},
             {"role": "assistant", "content": "answer"}, {"role": "user", "content": " last "}]
    case.prompts([prompt(1), {"messages": turns, "lang": "de", "row_id": 2}, {"prompt": "", "lang": "lv", "row_id": 3},
                  {"prompt_ids": [7], "prompt": "shown", "lang": "lt", "row_id": 4}])
    with ChatServer({"shown": [changed(choices=[{"index": 0, "finish_reason": "length",
                                                 "message": {"content": "cut\nStop here"}}])]}) as server:
        said = case.ask(server, "--max-new-tokens", 77, "--stop", "Stop").stderr
    assert [(row["language"], row["row_id"], row["sample"], row["text"], row["finish"])
            for row in read_responses(case.out)] == [
        ("en", 1, 0, "answer 0 to restricted activity 1", STOP), ("de", 2, 0, "answer 0 to  last ", STOP),
        ("lv", 3, 0, "answer 0 to ", STOP), ("lt", 4, 0, "cut\n", LENGTH)]
    asked = {call["text"]: call["body"] for call in server.calls}
    settings = {"model": MODEL, "max_tokens": 77, "temperature": 0, "top_p": 1, "stop": ["Stop"]}
    assert asked == {text: {**settings, "messages": messages} for text, messages in {
        "restricted activity 1": [{"role": "user", "content": "restricted activity 1"}], " last ": turns,
        "": [{"role": "user", "content": ""}], "shown": [{"role": "user", "content": "shown"}]}.items()}
    assert f"4 answers in {case.out}" in said and "failed" not in said
    record = provenance(case.out)
    assert record["identity"] == {"model": MODEL, "max_new_tokens": 77, "temperature": 0, "top_p": 1, "seed": 42,
                                  "stop": ["Stop"]}
    assert record["options"]["endpoint"] == server.url and record["served_models"] == [MODEL]
    with h5py.File(case.out) as file:
        assert "tokens" not in file and not any(file["response/length"])
    assert KEY not in case.out.read_bytes().decode("latin-1") and KEY not in said
    run("convert", "verify", case.out)


def test_ranks_share_the_requests(case):
    case.prompts([prompt(i) for i in range(30)])
    with ChatServer() as server:
        case.ask(server, ranks=3)
    assert server.tries() == {f"restricted activity {i}": 1 for i in range(30)}
    assert [row["text"] for row in read_responses(case.out)] == [f"answer 0 to restricted activity {i}" for i in range(30)]


def test_a_sample_is_a_request_of_its_own(case):
    case.prompts([prompt(1), prompt(2)])
    with ChatServer() as server:
        case.ask(server, "--samples", 2, "--temperature", 0.7, "--seed", 5)
        assert sorted((call["text"][-1], call["body"]["seed"]) for call in server.calls) == [
            ("1", 5), ("1", 6), ("2", 5), ("2", 6)]
        assert all(call["body"]["temperature"] == 0.7 and "n" not in call["body"] for call in server.calls)
        case.ask(server, "--samples", 3, "--temperature", 0.7, "--seed", 5)
        assert sorted((call["text"][-1], call["body"]["seed"]) for call in server.calls[4:]) == [("1", 7), ("2", 7)]
    assert [(row["row_id"], row["sample"]) for row in read_responses(case.out)] == [(i, s) for i in (1, 2) for s in range(3)]


def test_faults_that_pass(case):
    case.prompts([prompt(i) for i in range(20)])
    kinds = [status(429), status(500), cut(), status(200, '{"choices": [')]
    with ChatServer({f"restricted activity {i}": [kinds[i % 4]] * (i % 3) for i in range(20)}) as server:
        case.ask(server)
    rows = read_responses(case.out)
    assert [row["text"] for row in rows] == [f"answer 0 to restricted activity {i}" for i in range(20)]
    assert all(row["finish"] == STOP for row in rows)


FILTERED = changed(choices=[{"index": 0, "message": {"content": "half an ans"}, "finish_reason": "content_filter"}])


def test_failed_requests_are_counted_and_asked_again_at_the_next_start(case):
    case.prompts([prompt(i) for i in range(6)])
    refused = status(400, {"error": {"message": "too long"}})
    with ChatServer({"restricted activity 2": [refused] * 2, "restricted activity 4": [FILTERED]}) as server:
        said = case.ask(server).stderr
        assert [(row["row_id"], row["text"]) for row in read_responses(case.out) if row["finish"] == ERROR] == [
            (2, ""), (4, "")]
        assert said.splitlines()[-1].endswith(
            f"6 answers in {case.out}; of these 2 failed and are empty: start again to make these requests again")
        assert "warning: no answer to en/2/p2/0: HTTP 400: too long" in said
        assert ("warning: no answer to en/4/p4/0: the server ended the answer by itself (finish_reason content_filter)"
                in said)
        assert provenance(case.out)["failed"] == 2
        once = server.tries()
        assert set(once.values()) == {1}
        said = case.ask(server).stderr
        assert "4 of 6 answers are there already" in said and "2 requests that failed before are made again" in said
        assert server.tries() - once == {"restricted activity 2": 1, "restricted activity 4": 1}
        assert [row["row_id"] for row in read_responses(case.out) if row["finish"] == ERROR] == [2]
        kept = case.out.read_bytes()
        case.prompts([prompt(i) for i in range(6) if i != 2])  # a failed row may go
        case.ask(server)
        assert len(read_responses(case.out)) == 5
        case.out.write_bytes(kept)
        case.prompts([prompt(i) for i in range(6)])
        case.ask(server)
        assert "every answer is in" in case.ask(server).stderr
    assert server.tries() - once == {"restricted activity 2": 2, "restricted activity 4": 1}
    assert all(row["finish"] == STOP for row in read_responses(case.out))
    assert "failed" not in provenance(case.out) and len(provenance(case.out)["earlier"]) == 2


def test_nothing_but_failures_is_no_file(case):
    case.prompts([prompt(1), prompt(2)])
    with ChatServer(always=[status(400, {"error": {"message": "no such parameter: top_p"}})] * 9) as server:
        done = run("generate", *case.server(server), exit_code=1)
        server.always = []
        assert not case.out.exists()
        case.prompts([prompt(2)])  # what failed binds nobody to its prompts or settings
        case.ask(server, "--max-new-tokens", 5)
    assert [row["text"] for row in read_responses(case.out)] == ["answer 0 to restricted activity 2"]
    assert done.stderr.splitlines()[-1] == (
        "refrain-generate: every request failed; of en/1/p1/0 is said: HTTP 400: no such parameter: top_p "
        f"[{case.out}.parts] (set right what it names, and start again)")


def test_a_killed_job_goes_on_and_asks_nothing_twice_that_was_committed(case):
    case.prompts([prompt(i, "de" if i % 2 else "en") for i in range(150)])
    draw = random.Random(4)
    with ChatServer(delay=0.02) as server:
        for _ in range(3):
            ranks, before = draw.choice([1, 2, 3]), len(journal_lines(case.out))
            job = Running("generate", *case.server(server, "--endpoint-concurrency", 2), ranks=ranks)
            assert job.until(lambda: len(journal_lines(case.out)) > before + 10)
            job.kill(job.ranks(), signal.SIGKILL)
            job.process.communicate(timeout=60)
            assert not case.out.exists()
            kept = {json.loads(line.split(" ", 1)[1])["row_id"] for line in journal_lines(case.out)}
            assert len(kept) == len(journal_lines(case.out)) > before
            server.calls.clear()
        said = case.ask(server, ranks=2).stderr
        assert f"{len(kept)} of 150 answers are there already" in said
        assert server.tries() == {f"restricted activity {i}": 1 for i in range(150) if i not in kept}
    assert [row["text"] for row in read_responses(case.out)] == [f"answer 0 to restricted activity {i}" for i in range(150)]
    assert not journal_lines(case.out)


def test_a_signal_stops_it_and_what_came_is_kept(case):
    case.prompts([prompt(i) for i in range(12)])
    with ChatServer({f"restricted activity {i}": [silent] for i in range(8, 12)}) as server:
        job = Running("generate", *case.server(server, "--endpoint-concurrency", 4))
        # What is not yet worth a commit of its own is committed within a second or so.
        assert job.until(lambda: len(journal_lines(case.out)) == 8, seconds=30)
        job.kill([job.process.pid], signal.SIGUSR1)
        code, text = job.wait(20)
    assert code == 85 and text.splitlines()[-1].endswith(f"stopped; what is answered is kept in {case.out}.parts"), text
    with ChatServer() as server:
        case.ask(server)
    assert len(server.calls) == 4 and len(read_responses(case.out)) == 12


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_signal_before_any_answer(case, ranks):
    case.prompts([prompt(i) for i in range(4)])
    with ChatServer({f"restricted activity {i}": [silent] for i in range(4)}) as server:
        job = Running("generate", *case.server(server), ranks=ranks)
        assert job.until(lambda: server.calls)
        job.kill(job.ranks(), signal.SIGUSR1)
        code, text = job.wait(20)
    assert code == 85 and "stopped before anything was answered; the same command begins again\n" in text, text


def test_a_server_that_never_answers(case):
    case.prompts([prompt(i) for i in range(5)])
    with ChatServer({"restricted activity 0": []}, always=[silent] * 9) as server:
        case.refused("the server gives no answers: no answer within 0.5 s, at the last of 2 tries "
                     f"[{server.url}/chat/completions] (check that it runs, and its log; --endpoint-tries and "
                     "--endpoint-timeout give it more time)",
                     case.server(server, "--endpoint-tries", 2, "--endpoint-timeout", 0.5), exit_code=1)
    assert not case.out.exists() and len(journal_lines(case.out)) == 1
    with ChatServer() as server:
        case.prompts([prompt(i) for i in range(1, 5)])
        case.refused("1 answer is there and not asked for now: en/0/p0/0 [{dir}/answers.h5.parts] (give all prompts and "
                     "samples that were asked for before, or name another --out)", case.server(server))
        case.prompts([prompt(0, prompt="restricted activity 99")])
        case.refused("1 answer is to a prompt that has changed since: en/0/p0/0 [{dir}/answers.h5.parts] (give changed "
                     "prompts another id, or name another --out)", case.server(server))
        case.prompts([prompt(i) for i in range(6, 0, -1)] + [prompt(0)])  # kept by its name, not by its place
        case.ask(server)
    assert len(server.calls) == 6 and [row["row_id"] for row in read_responses(case.out)] == [6, 5, 4, 3, 2, 1, 0]
    assert all(row["finish"] == STOP for row in read_responses(case.out))


def test_a_key_that_is_not_taken_ends_all_ranks_with_one_line(case):
    case.prompts([prompt(i) for i in range(4)])
    with ChatServer(always=[status(401)] * 9) as server:
        case.refused(f"HTTP 401 [{server.url}/chat/completions] (set REFRAIN_API_KEY: the server wants a key)",
                     case.server(server), exit_code=1, ranks=2, REFRAIN_API_KEY="")
    assert not case.out.exists() and not journal_lines(case.out)


def answered(lines, failed=(), left_out=()):
    """What a batch gives back for its requests, in another order."""
    results = []
    for line in reversed(lines):
        text = line["body"]["messages"][-1]["content"]
        if text in left_out:
            continue
        body = {"model": f"{MODEL}-2", "choices": [{"index": 0, "message": {"content": f"batch says {text}"},
                                                    "finish_reason": "stop"}]}
        response = ({"status_code": 400, "body": {"error": {"message": "expired"}}} if text in failed else
                    {"status_code": 200, "body": body})
        results.append({"custom_id": line["custom_id"], "response": response, "error": None})
    return results


def test_batch_files_there_and_back(case):
    case.prompts([prompt(i) for i in range(4)] + [prompt(4, "čeština (CZ)", row_id=-2**63)])
    requests, results = case.folder / "requests.jsonl", case.folder / "results.jsonl"

    def write():
        said = run("generate", *case.words("--batch-out", requests, "--model", MODEL)).stderr
        lines = [json.loads(line) for line in requests.read_text().splitlines()]
        count = "1 request" if len(lines) == 1 else f"{len(lines)} requests"
        assert f" {count} in {requests}; their results go to --batch-in\n" in said
        return lines

    taken = case.words("--batch-in", results, "--model", MODEL)
    lines = write()
    assert [line["body"]["messages"][0]["content"][-1] for line in lines] == list("01234")
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", line["custom_id"]) for line in lines)
    assert not case.out.exists() and not case.out.with_name("answers.h5.parts").exists()

    write_jsonl(results, answered(lines, left_out=["restricted activity 1"], failed=["restricted activity 3"]))
    done = run("generate", *taken, exit_code=1)
    assert done.stderr.splitlines()[-1] == (
        f"refrain-generate: 1 of 5 answers are still missing; those that came are kept [{case.out}.parts] (write requests "
        "for the missing ones with --batch-out, and give their results with --batch-in)")
    lines = write()  # what failed is asked again with what is missing
    assert [line["body"]["messages"][0]["content"][-1] for line in lines] == ["1", "3"]
    write_jsonl(results, answered(lines, failed=["restricted activity 3"]))
    assert "of these 1 failed and are empty" in run("generate", *taken).stderr
    lines = write()
    write_jsonl(results, answered(lines))
    assert " 1 request that failed before is made again\n" in run("generate", *taken).stderr
    assert [(row["text"], row["finish"]) for row in read_responses(case.out)] == [
        (f"batch says restricted activity {i}", STOP) for i in range(5)]
    assert provenance(case.out)["served_models"] == [f"{MODEL}-2"]
    requests.unlink()
    assert "every answer is in" in run("generate", *case.words("--batch-out", requests, "--model", MODEL)).stderr
    assert not requests.exists()


def test_results_of_other_settings_or_prompts_are_none_of_ours(case):
    requests, results = case.folder / "requests.jsonl", case.folder / "results.jsonl"
    line = ("no result belongs to an answer that is missing (give the prompts and options that --batch-out had, and the "
            "results of its requests)")
    case.prompts([prompt(1)])
    said = run("generate", *case.words("--batch-out", requests, "--model", MODEL)).stderr
    assert f" 1 request in {requests}; their results go to --batch-in\n" in said
    write_jsonl(results, answered([json.loads(requests.read_text())]))
    for other in (["--model", "another"], ["--model", MODEL, "--max-new-tokens", 9]):
        done = run("generate", *case.words("--batch-in", results, *other), exit_code=2)
        assert done.stderr.splitlines()[-1] == f"refrain-generate: {line}"
    case.prompts([prompt(1, prompt="restricted activity 99")])
    assert run("generate", *case.words("--batch-in", results, "--model", MODEL),
               exit_code=2).stderr.splitlines()[-1] == f"refrain-generate: {line}"
    case.prompts([prompt(1)])
    assert f" 1 answer in {case.out}\n" in run("generate", *case.words("--batch-in", results, "--model", MODEL)).stderr


def test_appended_prompts_alone_are_asked(case):
    """A thirteenth language in the midst of the file, other labels, and a row whose answer failed."""
    first = [prompt(i, language) for language in ("en", "de") for i in range(4)]
    case.prompts(first)
    with ChatServer() as server:
        case.ask(server)
        before = read_responses(case.out)
        server.calls.clear()
        for row in first:
            row["style"] = "slang"
        case.prompts(first[:4] + [prompt(i, "uk") for i in range(3)] + first[4:])
        said = case.ask(server).stderr
    assert "8 of 11 answers are there already" in said
    assert server.tries() == {f"restricted activity {i}": 1 for i in range(3)}
    rows = read_responses(case.out)
    assert [(row["language"], row["row_id"]) for row in rows] == (
        [("en", i) for i in range(4)] + [("uk", i) for i in range(3)] + [("de", i) for i in range(4)])
    assert [{**row, "style": ""} for row in rows if row["language"] != "uk"] == before
    assert {row["style"] for row in rows if row["language"] != "uk"} == {"slang"}
    run("convert", "verify", case.out)


def test_answers_that_are_no_longer_asked_for_are_not_dropped(case):
    case.prompts([prompt(i) for i in range(3)])
    with ChatServer() as server:
        case.ask(server)
        kept, asked = case.out.read_bytes(), len(server.calls)
        remedy = "give all prompts and samples that were asked for before, or name another --out"
        case.prompts([prompt(1)])
        case.refused("2 answers are there and not asked for now, the first is en/0/p0/0 [{dir}/answers.h5] "
                     f"({remedy})", case.server(server))
        case.prompts([prompt(0, prompt="restricted activity 99"), prompt(1), prompt(2), prompt(3)])
        case.refused("1 answer is to a prompt that has changed since: en/0/p0/0 [{dir}/answers.h5] (give changed prompts "
                     "another id, or name another --out)", case.server(server))
        case.refused("the answers there were made with other settings: max_new_tokens, seed [{dir}/answers.h5] (give the "
                     "same ones, or name another --out)", case.server(server, "--seed", 1, "--max-new-tokens", 5))
        assert case.out.read_bytes() == kept and len(server.calls) == asked


def test_prompts_that_are_the_same_share_an_answer(case):
    case.prompts([prompt(1), prompt(2), prompt(1)])
    with ChatServer() as server:
        case.ask(server)
        assert len(server.calls) == 2
        assert [row["text"][-1] for row in read_responses(case.out)] == ["1", "2", "1"]
        assert "every answer is in" in case.ask(server).stderr


def test_wrong_input_is_told_in_one_line(case):
    case.prompts([prompt(1), {"prompt_ids": [7, 8], "row_id": 2}])
    model = case.tokenizer
    server = ["--endpoint", "http://localhost:9/v1", "--model", MODEL]
    batch_in = ["--batch-in", case.folder / "prompts.jsonl"]
    one_source = "(give one of them)"
    for words, line in [
        ([], "nothing is named that answers (give --checkpoint, or a server: --endpoint, --batch-out or --batch-in)"),
        ([*server, "--checkpoint", model], f"--checkpoint and --endpoint are both given {one_source}"),
        (["--checkpoint", model, "--batch-out", "x", "--model", "m"],
         f"--checkpoint and --batch-out are both given {one_source}"),
        (["--checkpoint", model, *batch_in], f"--checkpoint and --batch-in are both given {one_source}"),
        ([*server, *batch_in], f"--endpoint and --batch-in are both given {one_source}"),
        (["--checkpoint", model, "--model", "m"], "--model is given without --endpoint or --batch-out (name the server, or "
                                                  "take --model away)"),
        (batch_in, "--model is missing (give the one that --batch-out was given: results are known by it)"),
        ([*server, "--adapter", model], "--adapter belongs to --checkpoint, and --endpoint is given (leave it out)"),
        ([*server, "--dtype", "bf16"], "--dtype belongs to --checkpoint, and --endpoint is given (leave it out)"),
        ([*batch_in, "--model", "m", "--cache-memory", 1],
         "--cache-memory belongs to --checkpoint, and --batch-in is given (leave it out)"),
        (["--batch-out", "x", "--model", "m", "--tensor-parallel", 2],
         "--tensor-parallel belongs to --checkpoint, and --batch-out is given (leave it out)"),
        ([*server, "--temperature", 1, "--top-k", 5],
         "--top-k cannot be asked of a server: chat completions have no field for it (leave it out, or use --top-p)"),
        (["--batch-out", case.folder / "prompts.h5", "--model", "m"],
         "--batch-out and --prompts are one file [{dir}/prompts.h5] (name another file)"),
        (["--batch-in", case.folder / "prompts.h5", "--model", "m"],
         "--batch-in and --prompts are one file [{dir}/prompts.h5] (name another file)"),
    ]:
        case.refused(line, case.words(*words))
    case.refused("the prompt has token ids and no text, which a server cannot be asked [{dir}/prompts.h5:prompt 1] (give "
                 "prompt or messages beside prompt_ids to refrain-shard, or answer with --checkpoint)",
                 case.words(*server), exit_code=1)
    assert not case.out.exists() and not case.out.with_name("answers.h5.parts").exists()


def test_a_damaged_conversation_is_named(case):
    case.prompts([{"prompt": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "row_id": 1}])
    with h5py.File(case.folder / "prompts.h5", "r+") as file:
        column = file["prompt/turns/bytes"]
        column[...] = [ord("{"), *column[1:]]
    case.refused("/prompt/turns is no list of turns [{dir}/prompts.h5:prompt 0] (make the file again with refrain-shard)",
                 case.words("--endpoint", "http://localhost:9/v1", "--model", MODEL), exit_code=1)


def test_a_file_that_does_not_say_to_which_prompts_it_answers(case):
    case.prompts([prompt(1)])
    with ChatServer() as server:
        case.ask(server)
        with h5py.File(case.out, "r+") as file:
            del file["response/prompt_digest"]
        case.refused("the answers there do not say to which prompts they are [{dir}/answers.h5:/response/prompt_digest] "
                     "(name another --out)", case.server(server))
