"""Bad input of what asks a server: each ends with one exact line, and the right exit code."""

import socket
import threading

import pytest

from chat_server import KEY, MODEL, ChatServer, asked, files, silent, status, words, write_requests
from refrain import fails, run


@pytest.fixture
def refused(tmp_path):
    """Runs over `requests`, which must end with `line`; {url} stands for where completions are asked for."""
    def call(line, *options, url="http://127.0.0.1:9/v1", requests=(asked("a"),), exit_code=1, key=KEY):
        write_requests(tmp_path / "requests.jsonl", requests)
        fails("endpoint", *words(tmp_path, url, *options), REFRAIN_API_KEY=key, exit_code=exit_code,
              line=line.replace("{url}", f"{url}/chat/completions"))
    return call


# What no other request would fare better with.
HOPELESS = {
    "the key": (status(401, {"error": {"message": "Incorrect API key"}}),
                "HTTP 401: Incorrect API key [{url}] (set REFRAIN_API_KEY to a key that this server takes)"),
    "the path or the model": (status(404, {"message": f"The model {MODEL} does not exist"}),
                              f"HTTP 404: The model {MODEL} does not exist [{{url}}] (check --endpoint (it often ends "
                              "in /v1) and --model)"),
    "the quota": (status(429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}),
                  "HTTP 429: You exceeded your quota [{url}] (raise the quota of the key's account, or use another "
                  "key)"),
    "a long pause": (status(429, {"error": "daily limit"}, Retry_After=86400),
                     "HTTP 429: daily limit, and asks for a pause of 24:00:00 [{url}] (start again after it)"),
    "no place to go": (status(302),
                       "HTTP 302 [{url}] (give --endpoint the address that answers itself: a redirect is not followed, "
                       "since the key is for one address only)"),
}


@pytest.mark.parametrize("name", HOPELESS)
def test_hopeless(refused, name):
    kind, line = HOPELESS[name]
    with ChatServer(always=[kind]) as server:
        refused(line, "--endpoint-concurrency", 1, url=server.url, requests=[asked("a"), asked("b")])
    assert len(server.calls) == 1


def test_a_key_is_wanted(refused):
    with ChatServer(always=[status(401)]) as server:
        refused("HTTP 401 [{url}] (set REFRAIN_API_KEY: the server wants a key)", url=server.url, key="")


GONE = "(check that it runs, and its log; --endpoint-tries and --endpoint-timeout give it more time)"


def test_nothing_listens(refused):
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        refused("the server gives no answers: nothing takes connections there, at the last of 3 tries [{url}] " + GONE,
                "--endpoint-tries", 3, url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")


def test_never_answers(refused):
    with ChatServer(always=[silent] * 9) as server:
        refused("the server gives no answers: no answer within 0.5 s, at the last of 2 tries [{url}] " + GONE,
                "--endpoint-tries", 2, "--endpoint-timeout", 0.5, url=server.url,
                requests=[asked(f"row-{i}") for i in range(8)])


def test_always_fails(refused):
    with ChatServer(always=[status(500, {"error": {"message": "CUDA error"}})] * 9) as server:
        refused("the server gives no answers: HTTP 500: CUDA error [{url}] " + GONE, "--endpoint-tries", 1,
                url=server.url)


def test_has_answered_earlier_and_is_gone(refused):
    """Nothing is recorded as failed: not even the short question is answered."""
    requests = [asked(f"row-{i}") for i in range(8)]
    with ChatServer(always=[silent] * 9) as server:
        refused("the server gives no answers: no answer within 0.5 s, at the last of 2 tries [{url}] " + GONE,
                "--endpoint-tries", 2, "--endpoint-timeout", 0.5, "--has-answered", "on", url=server.url,
                requests=requests)
    assert server.tries()["Hello"] == 2
    with ChatServer(always=[status(503, {"error": "loading"})] * 99) as server:
        refused("the server gives no answers: HTTP 503: loading [{url}] " + GONE, "--endpoint-tries", 1,
                "--has-answered", "on", url=server.url, requests=requests)


def test_no_http(refused):
    """A server that greets first, as those of mail do."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def greet():
            connection, _ = listening.accept()
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.recv(4096)
            connection.close()
        threading.Thread(target=greet, daemon=True).start()
        refused("no HTTP reply can be had: Unsupported protocol [{url}] (check that --endpoint names an HTTP server)",
                url=f"http://127.0.0.1:{listening.getsockname()[1]}/v1")


def test_requests(refused):
    with ChatServer() as server:
        refused("two requests have the custom_id a (give each row an id of its own)", url=server.url,
                requests=[asked("a"), asked("b"), asked("a")])
        refused("request 1 has no custom_id (give each row an id of its own)", url=server.url,
                requests=[asked("a"), asked("")])
    assert not server.calls


NO_URL = "--endpoint is no http:// or https:// URL (write it as http://HOST:PORT/v1)"
NO_SECRETS = "(take it out; a key comes from the environment variable REFRAIN_API_KEY)"
URLS = {
    "no scheme": ("127.0.0.1:8000/v1", NO_URL),
    "a name alone": ("server", NO_URL),
    "another scheme": ("ftp://server/v1", NO_URL),
    "a file": ("file:///etc/hostname", NO_URL),
    "no host": ("http:///v1", NO_URL),
    "a port that is none": ("http://server:80800/v1", NO_URL),
    "a blank": ("http://ser ver/v1", NO_URL),
    "a password": (f"https://user:{KEY}@server/v1",
                   "--endpoint holds a user name or a password, and would be written into every output " + NO_SECRETS),
    "a user": (f"https://{KEY}@server/v1",
               "--endpoint holds a user name or a password, and would be written into every output " + NO_SECRETS),
    "a query": (f"https://server/v1?key={KEY}", "--endpoint holds a query (?...) or a fragment (#...) " + NO_SECRETS),
    "a fragment": ("https://server/v1#x", "--endpoint holds a query (?...) or a fragment (#...) " + NO_SECRETS),
}


@pytest.mark.parametrize("name", URLS)
def test_url(refused, name):
    url, line = URLS[name]
    refused(line, url=url, exit_code=2)


@pytest.mark.parametrize("host", ["server", "127.evil.example", "localhost.evil.example", "10.0.0.1", "[fe80::1]"])
def test_the_key_does_not_go_over_a_network_in_the_clear(refused, host):
    refused("REFRAIN_API_KEY would go to {url} unencrypted (use https://, unset REFRAIN_API_KEY, or give "
            "--endpoint-insecure on where the network is trusted)", url=f"http://{host}:8000/v1", exit_code=2)


@pytest.mark.parametrize("key", ["two words", "ends with a line\n", "kľúč"])
def test_key(refused, key):
    refused("REFRAIN_API_KEY holds a blank, a line break or a character that is not ASCII (set it to the key alone)",
            key=key, exit_code=2)


OPTIONS = {
    "no model": (["--endpoint", "http://localhost/v1"],
                 "--model is missing (name the model that is to answer, as the server names it)"),
    "no model for a batch": (["--batch-out", "{dir}/batch.jsonl"],
                             "--model is missing (name the model that is to answer, as the server names it)"),
    "a model alone": (["--model", "m"], "--model is given without --endpoint or --batch-out (name the server, or take "
                                        "--model away)"),
    "server and batch": (["--endpoint", "http://localhost/v1", "--model", "m", "--batch-out", "{dir}/b.jsonl"],
                         "--endpoint and --batch-out are both given (give one of them)"),
    "both batches": (["--batch-out", "{dir}/b.jsonl", "--model", "m", "--batch-in", "{dir}/requests.jsonl"],
                     "--batch-out and --batch-in are both given (give one of them)"),
    "concurrency": (["--endpoint-concurrency", 0],
                    "--endpoint-concurrency: 0 is out of range (give a whole number from 1 to 1024)"),
    "timeout": (["--endpoint-timeout", 0],
                "--endpoint-timeout: 0 is out of range (give a number above 0 and up to 86400)"),
    "tries": (["--endpoint-tries", "many"],
              "--endpoint-tries: 'many' is not a whole number (give a whole number from 1 to 100)"),
    "backoff": (["--endpoint-backoff", 61],
                "--endpoint-backoff: 61 is out of range (give a number above 0 and up to 60)"),
    "switch": (["--endpoint-insecure", "yes"], "--endpoint-insecure: 'yes' is not on or off (give on or off)"),
    "field": (["--endpoint-token-limit", "max_token"],
              "--endpoint-token-limit: 'max_token' is not one of max_tokens, max_completion_tokens (did you mean "
              "max_tokens?)"),
    "a folder to write": (["--batch-out", "{dir}", "--model", "m"], "--batch-out names a folder [{dir}] (name a file)"),
    "nothing to read": (["--batch-in", "{dir}/none"], "--batch-in names a file that does not exist [{dir}/none] (check "
                                                      "the path)"),
    "the same twice": (["--batch-in", "{dir}/requests.jsonl", "{dir}/./requests.jsonl"],
                       "--batch-in names a file twice [{dir}/./requests.jsonl] (name each file once)"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_usage(tmp_path, name):
    options, line = OPTIONS[name]
    write_requests(tmp_path / "requests.jsonl", [asked("a")])
    fails("endpoint", *files(tmp_path), *(str(word).replace("{dir}", str(tmp_path)) for word in options), exit_code=2,
          line=line.replace("{dir}", str(tmp_path)))
    assert not (tmp_path / "answers.jsonl").exists()


def test_help_shows_no_key():
    said = run("endpoint", "--help", REFRAIN_API_KEY=KEY).stdout
    assert "--endpoint-concurrency" in said and KEY not in said
