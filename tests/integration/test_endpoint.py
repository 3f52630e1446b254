"""Asking a server: what goes over the wire, and what faults lead to. Each request is answered once."""

import json
import shutil
import signal
import ssl
import subprocess
import time

import pytest

from chat_server import KEY, MODEL, ChatServer, answers, ask, asked, changed, completion, cut, dripping, huge, \
    silent, status, words, write_requests
from processes import Running
from refrain import fails, run


def test_each_request_is_answered_once(tmp_path):
    requests = [asked(f"row-{i}") for i in range(60)]
    with ChatServer(delay=0.02) as server:
        got, tally = ask(tmp_path, server, requests, "--endpoint-concurrency", 6)
    assert tally == {"total": 60, "answered": 60, "failed": 0, "retries": 0, "left": 0}
    assert server.tries() == {f"row-{i}": 1 for i in range(60)}
    assert 3 <= server.peak <= 6
    for i in range(60):
        assert got[f"row-{i}"] == {
            "custom_id": f"row-{i}", "model": MODEL, "error": "",
            "completions": [{"text": f"answer 0 to row-{i}", "finish_reason": "stop"}],
            "usage": {"prompt_tokens": len(f"row-{i}"), "completion_tokens": 3}}


def test_what_goes_over_the_wire(tmp_path):
    full = {"custom_id": "full", "messages": [{"role": "system", "content": "Kurz, žádné \"uvozovky\"\n"},
                                              {"role": "user", "content": "full"}],
            "max_tokens": 100, "temperature": 0, "top_p": 0.9, "seed": 7, "stop": ["\n\n", "###"], "n": 3}
    with ChatServer() as server:
        got, _ = ask(tmp_path, server, [full])
        ask(tmp_path, server, [asked("bare")])
        ask(tmp_path, server, [asked("newer", max_tokens=5)], "--endpoint-token-limit", "max_completion_tokens")
    sent = {call["text"]: call["body"] for call in server.calls}
    assert sent["full"] == {"model": MODEL, **{key: value for key, value in full.items() if key != "custom_id"}}
    assert sent["bare"] == {"model": MODEL, "messages": [{"role": "user", "content": "bare"}]}
    assert sent["newer"] == {**sent["bare"], "messages": [{"role": "user", "content": "newer"}],
                             "max_completion_tokens": 5}
    assert [answer["text"] for answer in got["full"]["completions"]] == [f"answer {i} to full" for i in range(3)]
    assert {call["path"] for call in server.calls} == {"/v1/chat/completions"}
    assert server.header("Authorization") == {f"Bearer {KEY}"}
    assert server.header("Content-Type") == {"application/json"}
    assert not server.header("Expect")


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_where_the_server_may_be_named(tmp_path, ending):
    with ChatServer() as server:
        server.url = f"http://127.0.0.1:{server.server_port}{ending}"
        ask(tmp_path, server, [asked("a")])
    assert [call["path"] for call in server.calls] == ["/v1/chat/completions"]


def test_without_a_key_no_header_is_sent(tmp_path):
    with ChatServer() as server:
        ask(tmp_path, server, [asked("a")], key="")
    assert not server.header("Authorization") and len(server.calls) == 1


def test_a_proxy_does_not_see_what_is_for_this_machine(tmp_path):
    with ChatServer() as server, ChatServer() as proxy:
        got, _ = ask(tmp_path, server, [asked("a")], http_proxy=f"http://127.0.0.1:{proxy.server_port}")
    assert not proxy.calls and not got["a"]["error"]


AGAIN = {
    "500": status(500, {"error": {"message": "internal"}}),
    "502 in HTML": status(502, "<html>Bad gateway</html>", "text/html"),
    "503": status(503, {"error": "loading"}),
    "408": status(408),
    "429": status(429, {"error": {"message": "slow down"}}),
    "429 with Retry-After": status(429, {"error": {"message": "slow down"}}, Retry_After=1),
    "cut before the reply": cut(),
    "cut within the reply": cut(after=20),
    "broken JSON": status(200, '{"choices": [{"index": 0, '),
    "not JSON": status(200, "<html>Sign in</html>", "text/html"),
    "empty": status(200, ""),
    "not UTF-8": lambda handler, body: handler.reply(200, b'{"choices": "\xff"}'),
    "never answers": silent,
    "never ends": dripping,
}


@pytest.mark.parametrize("fault", AGAIN)
def test_tried_again(tmp_path, fault):
    """Two tries of one request fail, the third is answered; the others are not touched."""
    requests = [asked(f"row-{i}") for i in range(6)]
    timeout = 1 if fault.startswith("never") else 20
    with ChatServer({"row-2": [AGAIN[fault]] * 2}) as server:
        got, tally = ask(tmp_path, server, requests, "--endpoint-timeout", timeout, "--endpoint-concurrency", 3)
    # libcurl sends once more by itself over a kept connection that ends before a reply: it may have been idle too long.
    assert tally.pop("retries") in ([1, 2] if fault == "cut before the reply" else [2])
    assert tally == {"total": 6, "answered": 6, "failed": 0, "left": 0}
    assert {row["completions"][0]["text"] for row in got.values()} == {f"answer 0 to row-{i}" for i in range(6)}
    assert server.tries() == {f"row-{i}": 3 if i == 2 else 1 for i in range(6)}


def test_all_faults_at_once(tmp_path):
    """200 requests, of which most meet one fault or two; all are answered, none twice."""
    kinds = [fault for name, fault in AGAIN.items() if name != "429 with Retry-After"]
    faults = {f"row-{i}": [kinds[i % len(kinds)], kinds[i // len(kinds) % len(kinds)]][:i % 3] for i in range(200)}
    with ChatServer(faults) as server:
        got, tally = ask(tmp_path, server, [asked(f"row-{i}") for i in range(200)], "--endpoint-timeout", 3,
                         "--endpoint-concurrency", 32)
    assert tally["answered"] == 200 and tally["failed"] == tally["left"] == 0
    assert server.tries() == {name: len(kinds) + 1 for name, kinds in faults.items()}
    for i in range(200):
        assert got[f"row-{i}"]["completions"][0]["text"] == f"answer 0 to row-{i}"


def test_retry_after_holds_for_all(tmp_path):
    with ChatServer({"row-0": [status(429, Retry_After=2)]}) as server:
        ask(tmp_path, server, [asked(f"row-{i}") for i in range(5)], "--endpoint-concurrency", 1)
    times = [call["time"] for call in server.calls]
    assert [call["text"] for call in server.calls][:2] == ["row-0", "row-0"] and len(times) == 6
    assert 2 <= times[1] - times[0] < 4


def test_pauses_grow(tmp_path):
    with ChatServer({"a": [status(500)] * 4}) as server:
        ask(tmp_path, server, [asked("a")], "--endpoint-backoff", 0.2)
    times = [call["time"] for call in server.calls]
    pauses = [later - earlier for earlier, later in zip(times, times[1:])]
    for pause, most in zip(pauses, [0.2, 0.4, 0.8, 1.6]):
        assert most / 2 <= pause < most + 1, pauses


FINAL = {
    "400": (status(400, {"error": {"message": "too long:\n 9000 tokens", "type": "invalid_request_error"}}),
            "HTTP 400: too long: 9000 tokens"),
    "403": (status(403, "blocked by policy", "text/plain"), "HTTP 403: blocked by policy"),
    "422": (status(422, {"detail": "unprocessable"}), "HTTP 422: unprocessable"),
    "413 in HTML": (status(413, "<html>too large</html>", "text/html"), "HTTP 413"),
    "an error in the answer": (status(200, {"error": {"message": "upstream failed", "code": 502}}),
                               "the server reports an error in its answer: upstream failed"),
    "a list": (status(200, [1]), "the answer is no chat completion: it is of type array, not an object"),
    "no choices": (status(200, {"object": "list", "data": []}),
                   "the answer is no chat completion: it has no list of choices"),
    "empty choices": (changed(choices=[]), "the answer is no chat completion: it has 0 choices, 1 asked for"),
    "two choices": (changed(choices=[{}, {}]), "the answer is no chat completion: it has 2 choices, 1 asked for"),
    "no message": (changed(choices=[{"text": "old form", "finish_reason": "stop"}]),
                   "the answer is no chat completion: choices[0] has no message"),
    "parts": (changed(choices=[{"message": {"content": [{"type": "text", "text": "x"}]}, "finish_reason": "stop"}]),
              "the answer is no chat completion: choices[0].message.content is of type array, not a string"),
    "no finish_reason": (changed(choices=[{"message": {"content": "x"}, "finish_reason": None}]),
                         "the answer is no chat completion: choices[0] has no finish_reason"),
    "an index too large": (changed(choices=[{"index": 1, "message": {"content": "x"}, "finish_reason": "stop"}]),
                           "the answer is no chat completion: choices[0] has an index that is none of 1"),
    "the key in an error": (status(400, {"error": {"message": f"no such key: {KEY}"}}), "HTTP 400: no such key: ***"),
    "the key in an answer": (
        lambda handler, body: changed(choices=[{"message": {"content": handler.headers["Authorization"]},
                                                "finish_reason": "stop"}])(handler, body),
        "the answer repeats the API key, so it is not kept"),
    "too large": (huge, "the answer is larger than 64.0 MiB"),
    "no answers in time": (silent, "no answer within 1 s, at the last of 2 tries"),
    "fails each time": ((status(500, {"message": "worker died"})), "HTTP 500: worker died, at the last of 2 tries"),
    "cut each time": (cut(after=5), "the connection was cut, at the last of 2 tries"),
    "never JSON": (status(200, "<html/>", "text/html; charset=utf-8"),
                   "the answer is text/html; charset=utf-8, not JSON, at the last of 2 tries"),
    "always broken": (status(200, "{"), "the answer is broken JSON, at the last of 2 tries"),
}


@pytest.mark.parametrize("fault", FINAL)
def test_final_for_one_request(tmp_path, fault):
    """It is reported with its reason, and the others are answered."""
    kind, line = FINAL[fault]
    requests = [asked(f"row-{i}") for i in range(4)]
    with ChatServer({"row-1": [kind] * 9}) as server:
        got, tally = ask(tmp_path, server, requests, "--endpoint-timeout", 1, "--endpoint-tries", 2,
                         "--endpoint-concurrency", 2)
    assert (tally["answered"], tally["failed"], tally["left"]) == (3, 1, 0)
    assert got["row-1"] == {"custom_id": "row-1", "completions": [], "model": "", "usage": None, "error": line}
    assert all(not got[f"row-{i}"]["error"] for i in (0, 2, 3))
    assert server.tries()["row-1"] == (2 if line.endswith("tries") else 1)


def test_answers_that_are_odd_and_right(tmp_path):
    def choice(i, content, **more):
        return {"index": i, "message": {"content": content, **more}, "finish_reason": "length"}
    faults = {"order": [changed(choices=[choice(1, "b"), choice(0, "a")])],
              "plain": [lambda handler, body: handler.reply(200, b"\n" + json.dumps(completion(body)).encode(),
                                                            "text/plain")],
              "refusal": [changed(choices=[choice(0, None, refusal="I cannot help with restricted activity 17.")])],
              "slow": [lambda handler, body: time.sleep(0.5) or changed()(handler, body)],
              "nothing": [changed(choices=[choice(0, None)], usage=None, model=None)],
              "half a usage": [changed(usage={"prompt_tokens": 4})]}
    with ChatServer(faults) as server:
        got, tally = ask(tmp_path, server, [asked("order", n=2), *map(asked, list(faults)[1:])])
    assert tally["answered"] == 6 and not tally["retries"]
    texts = {name: [completion["text"] for completion in row["completions"]] for name, row in got.items()}
    assert texts == {"order": ["a", "b"], "plain": ["answer 0 to plain"], "nothing": [""], "slow": ["answer 0 to slow"],
                     "half a usage": ["answer 0 to half a usage"],
                     "refusal": ["I cannot help with restricted activity 17."]}
    assert got["order"]["completions"][0]["finish_reason"] == "length"
    assert got["nothing"]["usage"] is None and got["nothing"]["model"] == ""
    assert got["half a usage"]["usage"] is None and got["half a usage"]["model"] == MODEL


def test_a_signal_ends_it_at_once(tmp_path):
    """What was answered is kept; the exit code says that work is left."""
    write_requests(tmp_path / "requests.jsonl", [asked(f"row-{i}") for i in range(30)])
    with ChatServer({f"row-{i}": [silent] for i in range(20, 30)}) as server:
        job = Running("endpoint", *words(tmp_path, server.url, "--endpoint-concurrency", 4))
        assert job.until(lambda: server.replies == 20 and server.at_once == 4, seconds=30)
        started = time.monotonic()
        job.kill([job.process.pid], signal.SIGTERM)
        code, text = job.wait(20)
        seconds = time.monotonic() - started
    assert code == 85, text
    assert seconds < 1
    assert sorted(answers(tmp_path)) == sorted(f"row-{i}" for i in range(20))
    assert '"answered":20,"failed":0,"retries":0,"left":10' in text


def test_a_signal_ends_a_pause(tmp_path):
    write_requests(tmp_path / "requests.jsonl", [asked("a"), asked("b")])
    with ChatServer({"a": [status(429, Retry_After=300)]}) as server:
        job = Running("endpoint", *words(tmp_path, server.url, "--endpoint-concurrency", 1))
        assert job.until(lambda: server.calls and not server.at_once, seconds=30)
        time.sleep(0.3)
        started = time.monotonic()
        job.kill([job.process.pid], signal.SIGINT)
        code, text = job.wait(20)
        seconds = time.monotonic() - started
    assert code == 85 and seconds < 1, text
    assert "endpoint: HTTP 429 (request a; 1 retry so far)" in text and len(server.calls) == 1


def test_a_server_that_goes_leaves_its_requests_for_later(tmp_path):
    """Requests that it did not answer are not recorded as failed."""
    write_requests(tmp_path / "requests.jsonl", [asked(f"row-{i}") for i in range(40)])
    server = ChatServer(delay=0.02)
    with server:
        job = Running("endpoint", *words(tmp_path, server.url, "--endpoint-tries", 2, "--endpoint-concurrency", 2))
        assert job.until(lambda: server.replies >= 10, seconds=30)
    code, text = job.wait(60)
    assert code == 1
    assert text.splitlines()[-1].startswith("refrain-endpoint: the server gives no answers: "), text
    got = answers(tmp_path)
    assert 8 <= len(got) < 40 and all(not row["error"] for row in got.values())


DIES = status(500, {"error": {"message": "worker died"}})


@pytest.mark.parametrize("fault, why", [(DIES, "HTTP 500: worker died"), (silent, "no answer within 0.5 s")])
@pytest.mark.parametrize("bad", [1, 2, 7])
def test_only_requests_are_left_that_are_never_answered(tmp_path, fault, why, bad):
    """The server has answered at an earlier start, and answers what is short: they have failed."""
    with ChatServer({f"row-{i}": [fault] * 9 for i in range(bad)}) as server:
        got, tally = ask(tmp_path, server, [asked(f"row-{i}") for i in range(bad)], "--endpoint-tries", 2,
                         "--endpoint-timeout", 0.5, "--has-answered", "on")
    assert tally == {"total": bad, "answered": 0, "failed": bad, "retries": bad, "left": 0}
    assert {row["error"] for row in got.values()} == {f"{why}, at the last of 2 tries"}
    tries = server.tries()
    assert 1 <= tries.pop("Hello") <= bad and tries == {f"row-{i}": 2 for i in range(bad)}
    questions = [call["body"] for call in server.calls if call["text"] == "Hello"]
    assert questions[0] == {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}


def test_requests_that_are_never_answered_do_not_hide_those_that_are(tmp_path):
    """Five in a row, among others; the server need not be known from before."""
    with ChatServer({f"row-{i}": [DIES] * 9 for i in range(20, 25)}) as server:
        got, tally = ask(tmp_path, server, [asked(f"row-{i}") for i in range(40)], "--endpoint-tries", 1,
                         "--endpoint-concurrency", 1)
    assert (tally["answered"], tally["failed"], tally["left"]) == (35, 5, 0)
    assert sorted(name for name, row in got.items() if row["error"]) == [f"row-{i}" for i in range(20, 25)]
    assert server.tries()["Hello"] == 1


def test_a_refusal_of_the_short_question_is_an_answer_too(tmp_path):
    with ChatServer({"row-0": [DIES] * 9, "Hello": [status(400, {"error": "max_tokens is too small"})] * 9}) as server:
        got, tally = ask(tmp_path, server, [asked("row-0")], "--endpoint-tries", 2, "--has-answered", "on")
    assert tally["failed"] == 1 and got["row-0"]["error"] == "HTTP 500: worker died, at the last of 2 tries"


def test_the_short_question_is_tried_again(tmp_path):
    with ChatServer({"row-0": [DIES] * 9, "Hello": [status(503), cut()]}) as server:
        _, tally = ask(tmp_path, server, [asked("row-0")], "--endpoint-tries", 3, "--has-answered", "on")
    assert tally == {"total": 1, "answered": 0, "failed": 1, "retries": 2, "left": 0}
    assert server.tries()["Hello"] in (2, 3)  # libcurl may send once more by itself: see test_tried_again


def test_the_key_is_written_nowhere(tmp_path):
    """Servers that repeat the key, in every way that is reported, and a run that fails."""
    faults = {"row-0": [status(400, {"error": {"message": "x" * 180 + KEY}})],
              "row-1": [status(500, KEY, "text/plain")] * 9, "row-2": [status(200, "", f"text/{KEY}")] * 9,
              "row-3": [changed(model=KEY)]}
    with ChatServer(faults) as server:
        write_requests(tmp_path / "requests.jsonl", [asked(f"row-{i}") for i in range(6)])
        command = words(tmp_path, server.url, "--endpoint-tries", 2)
        said = run("endpoint", *command, REFRAIN_API_KEY=KEY)
        server.always = [status(401, {"error": {"message": f"wrong key {KEY}"}})]
        server.faults, server.calls = {}, []
        failed = run("endpoint", *command, REFRAIN_API_KEY=KEY, exit_code=1)
    texts = [said.stdout, said.stderr, failed.stdout, failed.stderr]
    texts += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(texts) == 7 and "HTTP 401: wrong key ***" in failed.stderr
    for text in texts:
        assert KEY not in text and KEY[:12] not in text


def test_redirects_are_not_followed(tmp_path):
    with ChatServer() as other:
        with ChatServer(always=[status(307, Location=other.url + "/chat/completions")]) as server:
            write_requests(tmp_path / "requests.jsonl", [asked("a")])
            fails("endpoint", *words(tmp_path, server.url), REFRAIN_API_KEY=KEY,
                  line=f"HTTP 307, to {other.url}/chat/completions [{server.url}/chat/completions] (give --endpoint "
                       "the address that answers itself: a redirect is not followed, since the key is for one address "
                       "only)")
    assert not other.calls and len(server.calls) == 1


def test_a_certificate_that_nobody_signed(tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate with")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key", "-out",
                    tmp_path / "certificate", "-days", "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    server = ChatServer()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with server:
        write_requests(tmp_path / "requests.jsonl", [asked("a")])
        url = f"https://localhost:{server.server_port}/v1"
        fails("endpoint", *words(tmp_path, url), REFRAIN_API_KEY=KEY,
              line=f"the server's certificate is not accepted [{url}/chat/completions] (check the URL's host, and that "
                   "this machine knows the authority that signed it)")
    assert not server.calls
