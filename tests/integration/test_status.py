"""refrain-study status over run folders as they look while training runs, stops, fails, or is lost."""

import fcntl
import html.parser
import json
import os
import pty
import resource
import signal
import stat
import struct
import subprocess
import termios
import time

import pytest
import refrain
from refrain import check_line, command, fails, run
from run_folders import myself, seal, write_lock
from study_project import executable

STEP = {"rewards/accuracies": 0.75, "pairs_per_second": 12.5, "step_seconds": 30}


def write_run(root, name, state, step, *, steps=100, error=None, starts=(), endings=(), rows=None, updated=None):
    """`starts`: (time, first step, what the start before it had done, or None); `endings`: lines of the record of
    starts."""
    folder = root / name
    folder.mkdir(parents=True)
    entries = [{"time": at, "first_step": first, "provenance": {"slurm": {"SLURM_JOB_NODELIST": "n[1-2]"}},
                **({"before": before} if before else {})} for at, first, before in starts]
    seal(folder / "run.json", {"identity": {}, "options": {}, "provenance": {}, "starts": entries})
    seal(folder / "status.json", {"state": state, "step": step, "steps": steps, "error": error,
                                  "updated": updated or "2026-01-31T12:00:00Z"})
    rows = [{"step": i, "loss": 1 / i, **STEP} for i in range(1, step + 1)] if rows is None else rows
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if endings:
        (root / f"{name}.starts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in endings))
    return folder


@pytest.fixture
def no_slurm(tmp_path):
    """A PATH without squeue."""
    folder = tmp_path / "no slurm"
    folder.mkdir()
    return str(folder)


def fake_squeue(folder, text, code=0):
    """A PATH whose squeue prints `text`."""
    folder.mkdir()
    executable(folder / "squeue", f"#!/bin/sh\ncat << 'END'\n{text}\nEND\nexit {code}\n")
    return f"{folder}:{os.environ['PATH']}"


def look(root, **environment):
    """What --json says of each run, by name."""
    runs = json.loads(run("study", "status", "--json", root, **environment).stdout)
    return {each["name"]: each for each in runs}


def test_states_and_numbers(tmp_path, no_slurm):
    root = tmp_path / "runs"
    # Lost with its node at step 60 of 100 and begun again at 40; then stopped at 70 and begun again there; at work.
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1800))
    working = write_run(root, "dpo/a", "running", 80, starts=[
        ("2026-01-31T10:00:00Z", 0, None),
        ("2026-01-31T12:00:00Z", 40, {"state": "running", "step": 60, "updated": "2026-01-31T11:00:00Z"}),
        (started, 70, {"state": "stopped", "step": 70, "updated": "2026-01-31T14:00:00Z"})],
        endings=[{"time": "2026-01-31T14:00:00Z", "job": "6_0", "ending": "stopped", "exit": 85, "step": 70}])
    write_lock(working, myself(), job="7")
    write_run(root, "dpo/b", "finished", 100, starts=[("2026-01-31T10:00:00Z", 0, None)])
    write_run(root, "dpo/c", "failed", 12, error="loss is not finite [runs/c] (lower the rate)",
              starts=[("2026-01-31T10:00:00Z", 0, None)],
              endings=[{"time": "2026-01-31T10:30:00Z", "ending": "failed", "exit": 1, "step": 12}])
    gone = write_run(root, "dpo/d", "running", 5)
    write_lock(gone, myself() | {"machine": "elsewhere", "host": "n9"}, job="8", age=600)
    write_run(root, "dpo/e", "stopped", 5)
    (root / "dpo/f.starts.jsonl").write_text(json.dumps({"time": "2026-01-31T10:30:00Z", "ending": "failed", "exit": 2,
                                                         "job": "9"}) + "\n")
    (root / "base/model").mkdir(parents=True)
    (root / "base/model/responses.h5").write_text("")

    runs = look(root, PATH=no_slurm)
    assert {name: each["state"] for name, each in runs.items()} == {
        "dpo/a": "running", "dpo/b": "finished", "dpo/c": "failed", "dpo/d": "lost", "dpo/e": "stopped",
        "dpo/f": "failed", "base/model": "untrained"}
    one = runs["dpo/a"]
    assert one.pop("node_hours") == pytest.approx(2 * (1 + 2 + 0.5), abs=0.05)
    assert one == {"name": "dpo/a", "folder": str(working), "state": "running", "step": 80, "steps": 100,
                   "loss": 1 / 80, "accuracy": 0.75, "pairs_per_second": 12.5, "seconds_left": 600.0, "restarts": 2,
                   "steps_again": 20, "job": "7", "error": None, "answers": {"done": False, "rows": 0},
                   "verdicts": {"done": False, "judges": 0}}
    assert runs["dpo/b"]["seconds_left"] is None
    assert runs["dpo/b"]["node_hours"] == pytest.approx(2 * 2)
    assert runs["dpo/c"]["error"] == "loss is not finite [runs/c] (lower the rate)"
    assert runs["dpo/c"]["node_hours"] == pytest.approx(2 * 0.5)
    assert runs["dpo/d"]["error"] == ("no sign of life since 2026-01-31T12:00:00Z; its lock is of process "
                                      f"{os.getpid()} on n9, Slurm job 8, since 2026-01-31T12:00:00Z")
    assert runs["dpo/f"]["error"] == "the start of job 9 failed, with exit code 2, at 2026-01-31T10:30:00Z"
    assert runs["base/model"]["answers"] == {"done": True, "rows": None}
    assert runs["base/model"]["verdicts"] == {"done": False, "judges": 0}


def test_the_table(tmp_path, no_slurm):
    root = tmp_path / "runs"
    write_run(root, "dpo/a", "finished", 3, steps=3, starts=[("2026-01-31T10:00:00Z", 0, None)])
    failed = write_run(root, "dpo/b", "failed", 2, error="out of memory (use more ranks)")
    (failed / "responses.h5.parts").mkdir()
    (failed / "responses.h5.parts/rank-0-ab").write_text(f'{"0" * 32} {{"a": 1}}\n' * 1234 + f'{"0" * 32} {{"half')
    (failed / "verdicts").mkdir()
    (failed / "verdicts/guard.h5").write_text("")
    done = run("study", "status", PATH=no_slurm, REFRAIN_RUNS=root)
    assert done.stdout == """\
run    state      step    loss  accuracy  pairs/s  ETA  restarts  again  node h  answers  verdicts  last error
dpo/a  finished    3/3  0.3333     0.750    12.50    -         0      0    4.00        -         -
dpo/b  failed    2/100  0.5000     0.750    12.50    -         0      0    0.00    1,234   1 judge  out of memory \
(use more ranks)
2 runs: 1 finished, 1 failed; 4.00 node hours
"""
    assert done.stderr == ""
    # A run may be named itself.
    assert run("study", "status", root / "dpo/a", PATH=no_slurm).stdout.splitlines()[1].startswith("dpo/a  finished")


def test_the_queue_knows_more_than_files(tmp_path):
    root = tmp_path / "runs"
    for name, job in (("requeued", "6_0"), ("starting", "6_1"), ("stopped", "6_2")):
        write_run(root, name, "stopped", 5,
                  endings=[{"time": "2026-01-31T10:30:00Z", "job": job, "ending": "stopped", "exit": 85, "step": 5}])
    cut_off = write_run(root, "cut off", "running", 5)
    write_lock(cut_off, myself() | {"machine": "elsewhere"}, job="12", age=600)
    path = fake_squeue(tmp_path / "slurm", "6 0 PENDING 7 dpo_8b_de\n6 1 RUNNING 8 dpo_8b_de\n12 N/A RUNNING 12 x "
                                           "y\n6 7 PENDING 13 dpo_8b_de")
    runs = look(root, PATH=path)
    assert {name: each["state"] for name, each in runs.items()} == {
        "requeued": "waiting", "starting": "running", "stopped": "stopped", "cut off": "running"}
    table = run("study", "status", root, PATH=path).stdout
    assert table.splitlines()[-1] == "in the queue: dpo_8b_de: 2 PENDING, 1 RUNNING; x y: 1 RUNNING"


def test_a_job_that_was_submitted_since_the_last_start(tmp_path):
    """`submit` and `run` say in submissions.json which member each index of their arrays means."""
    root = tmp_path / "runs"
    for member, state in (("a", "stopped"), ("b", "failed"), ("c", "stopped"), ("d", "finished")):
        write_run(root, f"dpo_8b_de/{member}", state, 5, endings=[
            {"time": "2026-01-31T10:30:00Z", "job": "6_0", "ending": "stopped", "exit": 85, "step": 5}])
    record = root / "dpo_8b_de/submissions.json"
    seal(record, {"submissions": [{"job": "17", "name": "dpo_8b_de", "members": {"4": "a", "5": "b", "6": "d"}}]})
    path = fake_squeue(tmp_path / "slurm", "17 4 PENDING 17 dpo_8b_de\n17 5 RUNNING 18 dpo_8b_de\n"
                                           "17 6 PENDING 17 dpo_8b_de")
    runs = look(root, PATH=path)
    assert {name: (each["state"], each["job"]) for name, each in runs.items()} == {
        "dpo_8b_de/a": ("waiting", "17_4"), "dpo_8b_de/b": ("running", "17_5"), "dpo_8b_de/c": ("stopped", "6_0"),
        "dpo_8b_de/d": ("finished", "6_0")}
    assert look(root / "dpo_8b_de/a", PATH=path)["dpo_8b_de/a"]["state"] == "waiting"
    record.write_text('{"submi')
    done = run("study", "status", root, PATH=path)
    assert "warning: jobs that wait are not known: broken JSON: " in done.stderr and f"[{record}:line 1" in done.stderr
    assert done.stdout.splitlines()[1].split()[:2] == ["dpo_8b_de/a", "stopped"]


def test_a_queue_that_does_not_answer_costs_a_warning(tmp_path):
    root = tmp_path / "runs"
    write_run(root, "a", "running", 5)
    done = run("study", "status", root, PATH=fake_squeue(tmp_path / "slurm", "slurm_load_jobs error: busy", code=1))
    assert done.stderr.split(" ", 1)[1] == ("warning: squeue does not answer (slurm_load_jobs error: busy): states are "
                                            "told from files alone\n")
    assert done.stdout.splitlines()[1].split()[:2] == ["a", "lost"]


def test_files_that_are_being_written_or_damaged_cost_their_own_row_only(tmp_path, no_slurm):
    root = tmp_path / "runs"
    torn = write_run(root, "torn", "stopped", 3)
    with open(torn / "metrics.jsonl", "a") as metrics:
        metrics.write('{"step": 4, "eval_loss": 0.4}\n{"step": 4, "lo')
    (root / "torn.starts.jsonl").write_text('{"time": "2026-01-31T10:30:00Z", "ending": "stopped", "job": "3"}\n{"ti')
    damaged = write_run(root, "damaged", "finished", 3)
    (damaged / "status.json").write_text('{"state": "finis')
    (write_run(root, "a list", "finished", 3) / "status.json").write_text("[]")
    kinds = write_run(root, "kinds", "finished", 3)
    seal(kinds / "status.json", {"state": 7, "step": "three", "steps": [], "error": {}})
    seal(kinds / "run.json", {"starts": {"a": 1}})
    new = root / "new"
    new.mkdir()
    write_lock(new, myself())
    cache = root / "reference-cache/0123"  # no run, though a run at work locks it
    cache.mkdir(parents=True)
    write_lock(cache, myself())
    runs = look(root, PATH=no_slurm)
    assert {name: each["state"] for name, each in runs.items()} == {
        "torn": "stopped", "damaged": "damaged", "a list": "damaged", "kinds": "damaged", "new": "running"}
    assert (runs["torn"]["loss"], runs["torn"]["job"]) == (pytest.approx(1 / 3), "3")
    assert runs["damaged"]["error"] == (
        "broken JSON: syntax error while parsing value - invalid string: missing closing quote; last read: \"\\\"finis\" "
        f"[{damaged}/status.json:line 1, column 17] (correct the file or make it again)")
    assert runs["a list"]["error"] == (f"the file holds no object [{root}/a list/status.json] (correct the file or make "
                                       "it again)")
    assert runs["kinds"]["error"] == "its files hold a key of another kind than refrain-train writes"
    assert runs["new"]["step"] == 0


def test_a_page_that_needs_nothing_else(tmp_path, no_slurm):
    root, page = tmp_path / "runs", tmp_path / "pages/index"
    write_run(root, "<b>&\"odd\"", "finished", 300, starts=[("2026-01-31T10:00:00Z", 0, None)])
    write_run(root, "one step", "failed", 1, error="<script>alert(1)</script>")
    write_run(root, "none", "stopped", 0)
    run("study", "status", root, "--html", page, PATH=no_slurm)
    file = page / "index.html"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(page.stat().st_mode) == 0o700
    text = file.read_text()
    assert "<script" not in text and "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;b&gt;&amp;&quot;odd&quot;" in text and "3 runs: 1 stopped, 1 finished, 1 failed" in text

    class Reader(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.tags, self.outside = [], [], []

        def handle_starttag(self, tag, attributes):
            self.tags.append(tag)
            self.outside += [value for name, value in attributes if name in ("src", "href") and value[0] != "#"]
            if tag not in ("meta", "link", "rect", "polyline"):
                self.open.append(tag)

        def handle_startendtag(self, tag, attributes):
            self.tags.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(text)
    assert reader.open == [] and reader.outside == ["data:,"]
    assert reader.tags.count("svg") == 4  # loss and accuracy of the two that have rows
    assert reader.tags.count("tr") == 4
    assert "from 1 at step 1 to 0.00333 at step 300</desc>" in text


def test_a_thousand_runs_take_less_than_two_seconds(tmp_path, no_slurm):
    root = tmp_path / "runs"
    one = write_run(root, "dpo/first", "finished", 400, starts=[(f"2026-01-31T1{i}:00:00Z", 0, None) for i in range(3)])
    texts = {file.name: file.read_bytes() for file in one.iterdir()}
    for index in range(999):
        folder = root / f"dpo{index % 10}" / f"run{index}"
        folder.mkdir(parents=True)
        for name, text in texts.items():
            (folder / name).write_bytes(text)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run("study", "status", root, PATH=no_slurm)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.splitlines()[-1].startswith("1000 runs: 1000 finished")
    # Of the processor: others use this machine too.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


def test_watching_sees_changes_and_stops_when_told(tmp_path, no_slurm):
    root = tmp_path / "runs"
    folder = write_run(root, "a", "stopped", 3)
    watching = subprocess.Popen(command("study", "status", root, "--watch", "--json", "--interval", "0.05"), text=True,
                                env=refrain.environment(PATH=no_slurm), stdout=subprocess.PIPE)
    looks = iter(watching.stdout)
    assert json.loads(next(looks))[0]["step"] == 3
    seal(folder / "status.json", {"state": "finished", "step": 9, "steps": 9, "error": None})
    assert any(json.loads(line)[0]["state"] == "finished" for line in looks)
    watching.send_signal(signal.SIGTERM)
    watching.communicate(timeout=20)
    assert watching.returncode == 0


@pytest.mark.parametrize("columns", [60, 100])
def test_on_a_terminal_lines_end_where_it_ends(tmp_path, no_slurm, columns):
    root = tmp_path / "runs"
    write_run(root, "dpo_8b_balanced/beta=0.1,lr=1e-6,seed=42", "failed", 2, error="out of memory " * 20)
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    subprocess.run(command("study", "status", root), env=refrain.environment(PATH=no_slurm), stdout=terminal,
                   check=True)
    lines = os.read(main, 1 << 16).decode().splitlines()
    os.close(main), os.close(terminal)
    assert len(lines) == 3 and max(map(len, lines)) <= columns
    assert "failed" in lines[1] and "2/100" in lines[1]


def test_bad_input(tmp_path, no_slurm):
    nothing = {"PATH": no_slurm, "REFRAIN_RUNS": ""}
    fails("study", "status", exit_code=2, **nothing,
          line="no folder is named (set REFRAIN_RUNS, or give folders: refrain-study status runs)")
    fails("study", "status", tmp_path / "none", **nothing,
          line=f"there is no such folder [{tmp_path}/none] (give the folder that holds the runs, or set REFRAIN_RUNS)")
    fails("study", "status", tmp_path, "--interval", "0", exit_code=2, **nothing,
          line="--interval: 0 is out of range (give a number above 0)")
    (tmp_path / "file").write_text("")
    done = run("study", "status", tmp_path, "--html", tmp_path / "file", exit_code=1, **nothing)
    assert done.stdout == "no runs yet\n"
    check_line("study", done.stderr, f"cannot make the folder: Not a directory [{tmp_path}/file] (check the path and "
                                     "its permissions)")
