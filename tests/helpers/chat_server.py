"""An OpenAI-compatible HTTP server whose faults a test chooses, and the program that asks it."""

import collections
import http.server
import json
import pathlib
import socket
import threading
import time

from refrain import run

KEY = "sk-placeholder-0123456789abcdef"
MODEL = "org/small-model"


def asked(custom_id, **more):
    """A request: its text is the custom_id, by which the server tells requests apart."""
    return {"custom_id": custom_id, "messages": [{"role": "user", "content": custom_id}], **more}


def completion(body):
    """The answer of a server that works."""
    text = body["messages"][-1]["content"]
    choices = [{"index": i, "message": {"role": "assistant", "content": f"answer {i} to {text}"},
                "finish_reason": "stop"} for i in range(body.get("n", 1))]
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": body["model"], "choices": choices,
            "usage": {"prompt_tokens": len(text), "completion_tokens": 3 * len(choices), "total_tokens": 0}}


# Faults: each is called with the handler and the request's body, and is all that the server does for that try.

def status(code, body=None, kind="application/json", **headers):
    """An HTTP reply of the test's own; `body` may be a value (sent as JSON) or text."""
    def fault(handler, _):
        text = body if isinstance(body, str) else json.dumps(body if body is not None else {})
        handler.reply(code, text.encode(), kind, **headers)
    return fault


def changed(**fields):
    """The right answer with fields of it replaced."""
    return lambda handler, body: handler.reply(200, json.dumps({**completion(body), **fields}).encode())


def cut(after=0):
    """The connection ends, before the reply or after so many bytes of a longer body."""
    def fault(handler, _):
        if after:
            handler.send_response(200)
            handler.send_header("Content-Length", str(after + 100))
            handler.end_headers()
            handler.wfile.write(b" " * after)
            handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True
    return fault


def silent(handler, _):
    """No answer for as long as the server lives."""
    handler.server.closing.wait()
    handler.close_connection = True


def huge(handler, _):
    """More than is read of any reply."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(80 << 20))
    handler.end_headers()
    try:
        for _ in range(80):
            handler.wfile.write(b" " * (1 << 20))
    except OSError:
        pass
    handler.close_connection = True


def dripping(handler, _):
    """A reply that never ends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    try:
        while not handler.server.closing.wait(0.05):
            handler.wfile.write(b" ")
            handler.wfile.flush()
    except OSError:
        pass
    handler.close_connection = True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server, raw = self.server, self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(raw)
        text = body["messages"][-1]["content"]
        if server.closing.is_set():  # this connection was kept from before
            return cut()(self, body)
        with server.lock:
            tries = sum(call["text"] == text for call in server.calls)
            server.calls.append({"text": text, "path": self.path, "headers": list(self.headers.items()), "body": body,
                                 "time": time.monotonic()})
            server.at_once += 1
            server.peak = max(server.peak, server.at_once)
        faults = server.faults.get(text, server.always)
        try:
            if tries < len(faults):
                faults[tries](self, body)
            else:
                server.closing.wait(server.delay)
                self.reply(200, json.dumps(completion(body)).encode())
        finally:
            with server.lock:
                server.at_once -= 1

    do_GET = do_PUT = do_POST

    def reply(self, code, body, kind="application/json", **headers):
        if code == 200:
            with self.server.lock:
                self.server.replies += 1
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class ChatServer(http.server.ThreadingHTTPServer):
    """`faults`: for a request's text, what to do at its first try, its second, ...; what comes after is answered right,
    `delay` seconds later. `always` are the faults of all other requests. Attributes for the test: `calls` (text, path,
    headers, body, time of each request that came), `replies` (of status 200), `peak` (requests at once)."""

    daemon_threads, block_on_close, request_queue_size = True, False, 128

    def __init__(self, faults=None, always=(), delay=0.0):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults, self.always, self.delay = faults or {}, always, delay
        self.calls, self.replies, self.at_once, self.peak = [], 0, 0, 0
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """No new connections, and an end to those that wait."""
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        """A client that went away is none of the test's business."""

    def tries(self):
        """How often each request came, by its text."""
        return collections.Counter(call["text"] for call in self.calls)

    def header(self, name):
        """All values of a header that came, over all requests."""
        return {value for call in self.calls for key, value in call["headers"] if key.lower() == name.lower()}


def write_requests(path, requests):
    """JSON lines. Returns the path."""
    pathlib.Path(path).write_text("".join(json.dumps(request) + "\n" for request in requests))
    return path


def files(folder):
    """The options of every run of refrain-endpoint."""
    return "--requests", folder / "requests.jsonl", "--out", folder / "answers.jsonl"


def words(folder, url, *options):
    """The command line that asks the server at `url`, with pauses that suit a test."""
    backoff = () if "--endpoint-backoff" in options else ("--endpoint-backoff", 0.02)
    return *files(folder), "--endpoint", url, "--model", MODEL, *backoff, *options


def answers(folder):
    """The answers that a run has written, by custom_id; each id stands once. What a server answered was counted."""
    rows = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    counts = [row.pop("done") for row in rows if "done" in row]
    assert counts in ([], list(range(1, len(rows) + 1)))
    result = {row["custom_id"]: row for row in rows}
    assert len(result) == len(rows), "a request was answered twice"
    return result


def ask(folder, server, requests, *options, key=KEY, **keywords):
    """Runs over `requests`. Returns the answers and the tally."""
    write_requests(folder / "requests.jsonl", requests)
    done = run("endpoint", *words(folder, server.url, *options), REFRAIN_API_KEY=key, **keywords)
    return answers(folder), json.loads(done.stdout)
