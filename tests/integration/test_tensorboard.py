"""Event files of refrain-report tensorboard, read back by TensorBoard's own library."""

import datetime
import json
import stat

import numpy
import pytest
from tensorboard.backend.event_processing import event_file_loader, plugin_event_multiplexer
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.util import tensor_util
from transformers.integrations.integration_utils import rewrite_logs

from refrain import fails, run
from run_folders import claim_metrics, seal, write_run
from shard_files import write_jsonl
from small_runs import options, train_to, write_model, write_pairs


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def rewrite_line(folder, number, change):
    """Puts `change` of the line in its place in metrics.jsonl."""
    path = folder / "metrics.jsonl"
    texts = path.read_text().splitlines(keepends=True)
    texts[number - 1] = change(texts[number - 1])
    path.write_text("".join(texts))


def opened(out):
    """All runs of a folder, as TensorBoard's server loads them."""
    board = plugin_event_multiplexer.EventMultiplexer(size_guidance={"scalars": 0, "tensors": 0})
    board.AddRunsFromDirectory(str(out))
    board.Reload()
    return board


def scalars(board, name):
    """(tag, step): [(value, time)] of a run."""
    found = {}
    for tag in board.PluginRunToTagToContent("scalars")[name]:
        for event in board.Tensors(name, tag):
            value = tensor_util.make_ndarray(event.tensor_proto).item()
            found.setdefault((tag, event.step), []).append((value, event.wall_time))
    return found


def wanted(rows):
    """The same of rows of metrics.jsonl, under the names that transformers' callback gives them."""
    found = {}
    for row in rows:
        logs = {key: value for key, value in row.items() if key != "step" and value is not None}
        for tag, value in rewrite_logs(logs).items():
            found.setdefault((tag, row["step"]), []).append(float(numpy.float32(value)))
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was stopped and went on, with evaluations; and one that has stopped early."""
    folder = tmp_path_factory.mktemp("tensorboard")
    model, pairs = write_model(folder / "model"), write_pairs(folder / "pairs.h5", 24)
    dev = write_pairs(folder / "dev.h5", 6, seed=8)
    words = options(model, pairs, folder / "runs/study/beta=0.1,seed=7", steps=4)
    words += ["--eval-pairs", dev, "--eval-every", 2]
    train_to(2, *words)
    run("train", *words)
    train_to(1, *options(model, pairs, folder / "runs/other", steps=4))
    done = run("report", "tensorboard", "--runs", folder / "runs/study/beta=0.1,seed=7", folder / "runs/other", "--out",
               folder / "board")
    assert done.stdout == f"{folder}/board\n"
    return folder


NAMES = ["study/beta=0.1,seed=7", "other"]


@pytest.mark.parametrize("name", NAMES)
def test_every_value(trained, name):
    board = opened(trained / "board")
    assert sorted(board.Runs()) == sorted(NAMES)
    rows = lines(trained / "runs" / name)
    read = {key: [value for value, _ in events] for key, events in scalars(board, name).items()}
    assert read == wanted(rows)
    assert ("train/loss", 1) in read and ("train/rewards/margins", 1) in read
    assert (("eval/rewards/accuracies", 4) in read) == (name == NAMES[0])


@pytest.mark.parametrize("name", NAMES)
def test_times_of_a_real_run(trained, name):
    events = scalars(opened(trained / "board"), name)
    times = [events[next(key for key in events if key[1] == row["step"] and key[0].startswith(kind))]
             for row in lines(trained / "runs" / name)
             for kind in ["eval/" if "eval_loss" in row else "train/loss"]]
    flat = [time for entry in times for _, time in entry]
    started = json.loads((trained / "runs" / name / "run.json").read_text())["starts"][0]["time"]
    assert flat == sorted(flat) and seconds(started) < flat[0] and flat[-1] < seconds(started) + 300


def test_times_of_starts(tmp_path):
    """The first start ended before its first step; the third began again after step 2, later than its clock says."""
    folder = write_run(tmp_path / "run", steps=1)
    record = json.loads((folder / "run.json").read_text())
    del record["sha256"]
    starts = [("2026-01-31T10:00:00Z", 0), ("2026-01-31T12:00:00Z", 0), ("2026-01-31T12:01:00Z", 2)]
    record["starts"] = [{**record["starts"][0], "time": time, "first_step": step} for time, step in starts]
    seal(folder / "run.json", record)
    rows = [{"step": 0, "eval_loss": 1, "eval_seconds": 30}, {"step": 1, "loss": 1, "step_seconds": 10.5},
            {"step": 2, "loss": 1, "step_seconds": 40}, {"step": 2, "eval_loss": 1, "eval_seconds": 20},
            {"step": 3, "loss": 1, "step_seconds": 5}]
    write_jsonl(folder / "metrics.jsonl", rows)
    run("report", "tensorboard", "--runs", folder, "--out", tmp_path / "board")
    noon = seconds("2026-01-31T12:00:00Z")
    read = {key: time - noon for key, ((_, time),) in scalars(opened(tmp_path / "board"), "run").items()}
    loss = lambda step: read["train/loss", step]
    assert [read["eval/loss", 0], loss(1), loss(2), read["eval/loss", 2], loss(3)] == [30, 40.5, 80.5, 100.5, 105.5]


def test_settings(trained):
    board = opened(trained / "board")
    for name in NAMES:
        record = json.loads((trained / "runs" / name / "run.json").read_text())
        (event,) = board.Tensors(name, "args/text_summary")
        assert board.SummaryMetadata(name, "args/text_summary").plugin_data.plugin_name == "text"
        (text,) = tensor_util.make_ndarray(event.tensor_proto)
        assert json.loads(text) == record["options"]
        assert all(line.startswith(b"    ") for line in text.splitlines())
        content = board.SummaryMetadata(name, hparams.SESSION_START_INFO_TAG).plugin_data.content
        info = hparams.parse_session_start_info_plugin_data(content)
        read = {key: getattr(value, value.WhichOneof("kind")) for key, value in info.hparams.items()}
        assert read == {key: value for key, value in record["identity"].items()
                        if value is not None and not isinstance(value, (dict, list))}
        assert read["beta"] == 0.1 and read["loss"] == "sigmoid" and read["shuffle"] is True
        assert info.start_time_secs == seconds(record["starts"][0]["time"])


def test_files(trained):
    board = trained / "board"
    files = [path for path in board.rglob("*") if path.is_file()]
    assert len(files) == 3 and all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    record = json.loads((board / "tensorboard.json").read_text())
    assert record["program"] == "refrain-report" and len(record["inputs"]) == 4
    (path,) = (board / "other").iterdir()
    first = next(iter(event_file_loader.EventFileLoader(str(path)).Load()))
    assert first.file_version == "brain.Event:2"


def test_every_flipped_bit_of_a_record_is_seen(trained, tmp_path):
    """TensorBoard checks the records' checksums, so that ours are what it wants: a flip ends what it reads."""
    (path,) = (trained / "board/other").iterdir()
    whole = path.read_bytes()
    count = lambda file: sum(1 for _ in event_file_loader.RawEventFileLoader(str(file)).Load())
    events = count(path)
    for place in range(0, len(whole), len(whole) // 40):
        flipped = tmp_path / "events.out.tfevents.flipped"
        flipped.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1:])
        assert count(flipped) < events


def test_a_rerun_replaces(tmp_path):
    a, b = write_run(tmp_path / "a", steps=3), write_run(tmp_path / "b", steps=2)
    export = lambda *runs: run("report", "tensorboard", "--runs", *runs, "--out", tmp_path / "board")
    export(a, b)
    before = {path: path.read_bytes() for path in (tmp_path / "board").rglob("events*")}
    assert len(before) == 2
    export(a, b)
    assert before == {path: path.read_bytes() for path in (tmp_path / "board").rglob("events*")}
    with open(a / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "loss": 0.25, "step_seconds": 1.5}\n')
    (tmp_path / "board/notes.txt").write_text("mine")
    export(a)
    assert sorted(path.name for path in (tmp_path / "board").iterdir()) == ["a", "notes.txt", "tensorboard.json"]
    board = opened(tmp_path / "board")
    assert list(board.Runs()) == ["a"] and scalars(board, "a")["train/loss", 4][0][0] == 0.25


def test_a_run_under_way(tmp_path):
    """Its last line may be half written, and before its first step it has none."""
    folder = write_run(tmp_path / "run", steps=3, state="running")
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "lo')
    run("report", "tensorboard", "--runs", folder, "--out", tmp_path / "board")
    assert max(step for _, step in scalars(opened(tmp_path / "board"), "run")) == 3
    (folder / "metrics.jsonl").unlink()
    run("report", "tensorboard", "--runs", folder, "--out", tmp_path / "board")
    assert list(opened(tmp_path / "board").Runs()["run"]["tensors"]) == ["args/text_summary", hparams.SESSION_START_INFO_TAG]


def test_anonymous(tmp_path):
    folder = write_run(tmp_path / "run", pairs=write_pairs(tmp_path / "pairs.h5", 2))
    run("report", "tensorboard", "--runs", folder, "--out", tmp_path / "board")
    assert any(str(tmp_path).encode() in path.read_bytes() for path in (tmp_path / "board").rglob("events*"))
    run("report", "tensorboard", "--runs", folder, "--out", tmp_path / "board", "--anonymous")
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in (tmp_path / "board").rglob("*") if path.is_file())


REMEDY = "(put the file back from a copy, or remove its damaged end)"
BAD_LINES = {
    "cut": (lambda line: line[:20] + "\n", "is not a JSON object"),
    "a list": (lambda line: "[1, 2]\n", "is not a JSON object"),
    "empty": (lambda line: "\n", "is not a JSON object"),
    "no step": (lambda line: '{"loss": 0.5}\n', "has no step"),
    "a broken step": (lambda line: '{"step": 1.5, "loss": 0.5}\n', "has no step"),
    "a word": (lambda line: '{"step": 2, "loss": "small"}\n', "loss is no number"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_bad_metrics(tmp_path, name):
    change, problem = BAD_LINES[name]
    folder = write_run(tmp_path / "run", steps=3)
    rewrite_line(folder, 2, change)
    fails("report", "tensorboard", "--runs", folder, "--out", tmp_path / "board",
          line=f"{problem} [{folder}/metrics.jsonl:line 2] {REMEDY}")
    assert not (tmp_path / "board").exists()


def test_lost_metrics(tmp_path):
    """By status.json there are some."""
    folder = write_run(tmp_path / "run", steps=3)
    claim_metrics(folder, 100)
    (folder / "metrics.jsonl").unlink()
    fails("report", "tensorboard", "--runs", folder, "--out", tmp_path / "board",
          line=f"is missing; by status.json it has 100 bytes [{folder}/metrics.jsonl] (put it back from a copy, or resume the "
               "run from a checkpoint)")
    assert not (tmp_path / "board").exists()


def test_bad_folders(tmp_path):
    folder = write_run(tmp_path / "a/run", steps=1)
    export = lambda line, *runs, out="board", exit_code=2: fails("report", "tensorboard", "--runs", *runs, "--out",
                                                                tmp_path / out, line=line, exit_code=exit_code)
    (tmp_path / "none").mkdir()
    export(f"the folder is no training run: it has no run.json [{tmp_path}/none] (give --runs the folders that refrain-train "
           "wrote)", tmp_path / "none", exit_code=1)
    twin = write_run(tmp_path / "b/run", steps=1)
    export(f"--runs: two runs are called run [{twin}] (export them into two folders, or rename one's folder)", folder, twin)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    export(f"--out names a folder that holds something else than an export for TensorBoard [{tmp_path}/mine] (name a new "
           "folder, or that of an earlier export for TensorBoard)", folder, out="mine")
    export(f"--out names a file, where a folder is wanted [{tmp_path}/mine/notes.txt] (name a folder)", folder,
           out="mine/notes.txt")
    fails("report", "tensorboard", "--out", tmp_path / "board", exit_code=2,
          line="option --runs is missing (add --runs DIR...: training runs, finished or not)")
    fails("report", "tensorbord", exit_code=2, line="unknown command 'tensorbord' (did you mean tensorboard?)")
    fails("report", "tensorboard", "--verdicts", "x", exit_code=2,
          line="option --verdicts belongs to refrain-report, not to refrain-report tensorboard (see refrain-report tensorboard "
               "--help)")
    assert not (tmp_path / "board").exists()
