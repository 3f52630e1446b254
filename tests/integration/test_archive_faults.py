"""Archives under attack: flipped bits, kills, and files larger than memory may be."""

import pathlib
import random
import re
import shutil
import subprocess
import time

import numpy
from archive_study import datasets, files_below, sha256, write_member, write_study
from processes import Running
from refrain import LONG, command, environment, run

FLIPS = 1000 if LONG else 100
KILLS = 20


def restored(archive, folder):
    """Digests of what restore gives; None where it refuses."""
    done = subprocess.run(command("archive", "restore", "--archive", archive, "--out", folder), env=environment(),
                          capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    found = {name: sha256(path) for name, path in files_below(folder).items()} if done.returncode == 0 else None
    shutil.rmtree(folder, ignore_errors=True)
    return found


def test_flipped_bits(tmp_path):
    """Anywhere in the file: verify fails, or what is restored is the same, bit for bit."""
    write_study(tmp_path / "runs")
    archive = tmp_path / "archive.h5"
    run("archive", "create", "--out", archive, tmp_path / "runs")
    before = archive.read_bytes()
    expected = restored(archive, tmp_path / "back")
    assert len(expected) > 20
    draw = random.Random(11)
    found = 0
    for _ in range(FLIPS):
        at = draw.randrange(8 * len(before))
        damaged = bytearray(before)
        damaged[at // 8] ^= 1 << at % 8
        archive.write_bytes(damaged)
        done = subprocess.run(command("archive", "verify", archive), env=environment(), capture_output=True, text=True)
        assert done.returncode in (0, 1), (at, done.stderr)
        if done.returncode == 1:
            assert f"{archive}: damaged" in done.stdout and archive.name in done.stderr, (at, done.stderr)
            found += 1
        else:
            assert restored(archive, tmp_path / "back") == expected, f"bit {at} changes what is restored and was not found"
    print(f"{FLIPS} flipped bits: {found} found, {FLIPS - found} change nothing")
    assert found > FLIPS // 3


def test_kills_while_adding(tmp_path):
    """At random moments: what was in the archive stays, and the next start does what this one could not."""
    runs = write_study(tmp_path / "runs")
    write_member(tmp_path / "more/large")
    (tmp_path / "more/large/final/weights-00001-of-00001.h5").write_bytes(numpy.random.default_rng(1).bytes(3 << 20))
    words = ("create", "--add", "--weights", "final", "--out")
    first, second = tmp_path / "first.h5", tmp_path / "second.h5"
    run("archive", *words, first, runs)
    shutil.copy(first, second)
    begin = time.monotonic()
    run("archive", *words, second, tmp_path / "more")
    usual = time.monotonic() - begin
    old, new = datasets(first), datasets(second)
    assert old != new
    draw = random.Random(12)
    midway = 0
    unfinished = pathlib.Path(f"{second}.tmp")
    for attempt in range(KILLS):
        shutil.copy(first, second)
        unfinished.unlink(missing_ok=True)
        job = Running("archive", *words, second, tmp_path / "more")
        if attempt % 2:  # half of them while the new file is written, however fast the machine is
            job.until(unfinished.exists)
            time.sleep(draw.uniform(0, usual / 10))
        else:
            time.sleep(draw.uniform(0, usual))
        midway += unfinished.exists()
        job.kill(job.ranks())
        code, _ = job.wait()
        # A kill right behind the rename comes too late.
        assert sha256(second) == sha256(first) or datasets(second) == new
        assert code != 0 or datasets(second) == new
        run("archive", "verify", second)
    run("archive", *words, second, tmp_path / "more")
    assert datasets(second) == new
    # A kill may leave what its lock was written to, which nobody reads, and nothing else.
    left = {path.name for path in tmp_path.iterdir() if not re.fullmatch(r"second\.h5\.lock\.[0-9a-f]+(\.tmp)?", path.name)}
    assert left == {"runs", "more", "first.h5", "second.h5"}
    assert midway > KILLS // 4
    print(f"{KILLS} kills, {midway} of them while the new file was being written")


def peak(*words):
    """VmHWM - RssFile in MiB of a refrain-archive, watched while it runs."""
    process = subprocess.Popen(command("archive", *words), env=environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    highest = 0
    while process.poll() is None:
        try:
            fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines())
            highest = max(highest, int(fields["VmHWM"].split()[0]) - int(fields["RssFile"].split()[0]))
        except (OSError, KeyError):
            pass
        time.sleep(0.01)
    assert process.returncode == 0, process.stderr.read()
    return highest >> 10


def test_memory_is_bounded(tmp_path):
    """Weights of 1 GiB (less in the everyday suite, and a bound below their size)."""
    size, bound = (1 << 30, 200) if LONG else (160 << 20, 120)
    write_member(tmp_path / "one")
    block = numpy.random.default_rng(1).bytes(16 << 20)
    with open(tmp_path / "one/final/weights-00001-of-00001.h5", "wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
    out = tmp_path / "one.h5"
    used = {"create": peak("create", "--out", out, tmp_path / "one", "--weights", "final", "--compression", 1),
            "verify": peak("verify", out), "restore": peak("restore", "--archive", out, "--out", tmp_path / "back")}
    print(f"{size >> 20} MiB of weights: peak MiB {used}")
    assert all(0 < value < bound for value in used.values()), used
    name = "one/final/weights-00001-of-00001.h5"
    assert sha256(tmp_path / "back" / name) == sha256(tmp_path / name)
