"""Bad input of refrain-archive: each ends with one exact line, the right exit code, and nothing half-written."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import h5py
import numpy
import pytest
from archive_study import sha256, write_answers, write_member
from disks import read_only_disk, small_disk
from processes import Running
from refrain import LINES, command, environment, fails, run
from run_folders import claim_metrics, seal


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder of runs, and its archive."""
    folder = tmp_path_factory.mktemp("errors")
    write_member(folder / "runs/one")
    write_answers(folder / "runs/one", 6)
    run("archive", "create", "--out", folder / "good.h5", folder / "runs")
    (folder / "empty").mkdir()
    (folder / "empty/notes.txt").write_text("mine")
    return folder


def names(folder):
    return {path.name for path in folder.iterdir()}


NO_RUN = "the folder holds no run: no run.json, no answers, no verdicts in it or below it [{dir}/empty] (name a run's " \
         "folder, or one of runs)"
OTHER_KIND = "the file is of kind verdicts.v1, but archive.v1 is needed here [{dir}/runs/one/verdicts.h5] (give the right " \
             "file)"
CREATE = {
    "no command": ([], "a command is missing (put one of these first: create, verify, list, restore, diff)", 2),
    "no folder": (["create", "--out", "{new}"],
                  "DIR is missing (refrain-archive create needs it: run folders, and folders of runs)", 2),
    "no out": (["create", "{dir}/runs"], "option --out is missing (add --out FILE.h5: archive to make)", 2),
    "missing folder": (["create", "--out", "{new}", "{dir}/none"],
                       "DIR names a folder that does not exist [{dir}/none] (check the path)", 2),
    "a file": (["create", "--out", "{new}", "{dir}/good.h5"],
               "DIR names a file, where a folder is wanted [{dir}/good.h5] (name a folder)", 2),
    "no run": (["create", "--out", "{new}", "{dir}/runs", "{dir}/empty"], NO_RUN, 1),
    "twice": (["create", "--out", "{new}", "{dir}/runs", "{dir}/runs/"],
              "two files would be runs/one/eval.json in the archive [{dir}/runs/one/eval.json] (name each folder once, and "
              "give folders of one name others)", 2),
    "there already": (["create", "--out", "{dir}/good.h5", "{dir}/runs"],
                      "--out names a file that is there already [{dir}/good.h5] (add to it with --add, "
                      "make it anew with --replace, or name another)", 2),
    "out is a folder": (["create", "--out", "{dir}/runs", "{dir}/runs"],
                        "--out names a folder, where a file is wanted [{dir}/runs] (name a file)", 2),
    "no folder for out": (["create", "--out", "{dir}/none/a.h5", "{dir}/runs"],
                          "--out names a file in a folder that does not exist [{dir}/none/a.h5] (make the folder first)", 2),
    "category alone": (["create", "--out", "{new}", "{dir}/runs", "--include-category", "S4"],
                       "--include-category is given without --include-text (give both, or neither)", 2),
    "other category": (["create", "--out", "{new}", "{dir}/runs", "--include-text", "--include-category", "S5"],
                       "--include-category: 'S5' is not a category that is left out (only S4 is)", 2),
    "anonymous weights": (["create", "--out", "{new}", "{dir}/runs", "--anonymous", "--weights", "final"],
                          "--anonymous and --weights final contradict each other: a checkpoint's files name paths (leave one "
                          "of them out)", 2),
    "compression": (["create", "--out", "{new}", "{dir}/runs", "--compression", "12"],
                    "--compression: 12 is out of range (give a whole number from 0 to 9)", 2),
    "add and replace": (["create", "--add", "--replace", "--out", "{dir}/good.h5", "{dir}/runs"],
                        "--add and --replace contradict each other (leave one of them out)", 2),
    "mixed": (["create", "--add", "--out", "{dir}/good.h5", "{dir}/runs", "--anonymous"],
              "the archive is not anonymous [{dir}/good.h5] (add to it without --anonymous, or name another)", 2),
    "other content": (["create", "--add", "--out", "{dir}/good.h5", "{dir}/runs", "--include-text"],
                      "the archive has runs/one/responses.h5 with other content [{dir}/good.h5] (archive what has changed "
                      "under another name: --out)", 1),
    "add to no archive": (["create", "--add", "--out", "{dir}/runs/one/verdicts.h5", "{dir}/runs"], OTHER_KIND, 1),
    "restore nothing": (["restore", "--archive", "{dir}/none.h5", "--out", "{new}"],
                        "--archive names a file that does not exist [{dir}/none.h5] (check the path)", 2),
    "restore no run": (["restore", "--archive", "{dir}/good.h5", "--out", "{new}", "--run", "two"],
                       "--run: the archive has no run two [{dir}/good.h5] (it has runs/one)", 2),
    "restore a run by its end": (["restore", "--archive", "{dir}/good.h5", "--out", "{new}", "--run", "one"],
                                 "--run: the archive has no run one [{dir}/good.h5] (did you mean runs/one?)", 2),
    "restore over files": (["restore", "--archive", "{dir}/good.h5", "--out", "{dir}"],
                           "the file is there already [{dir}/runs/one.starts.jsonl] (restore into another folder, or replace "
                           "it with --overwrite)", 1),
    "restore onto a file": (["restore", "--archive", "{dir}/good.h5", "--out", "{dir}/good.h5"],
                            "--out names a file, where a folder is wanted [{dir}/good.h5] (name a folder)", 2),
    "restore another kind": (["restore", "--archive", "{dir}/runs/one/verdicts.h5", "--out", "{new}"], OTHER_KIND, 1),
    "list a folder": (["list", "{dir}/runs"], "this is a folder, not a file [{dir}/runs] (name a file in it)", 1),
    "list no archive": (["list", "{dir}/empty/notes.txt"],
                        "not an HDF5 file [{dir}/empty/notes.txt] (give a file that Refrain wrote)", 1),
    "diff nothing": (["diff", "{dir}/good.h5", "{dir}/none.h5"],
                     "cannot read the file: No such file or directory [{dir}/none.h5] (check the path)", 2),
    "diff no run": (["diff", "{dir}/good.h5", "{dir}/good.h5:two"],
                    "the archive has no run two [{dir}/good.h5] (it has runs/one)", 2),
    "diff a slip": (["diff", "{dir}/good.h5", "{dir}/good.h5:runs/ome"],
                    "the archive has no run runs/ome [{dir}/good.h5] (did you mean runs/one?)", 2),
    "diff a folder without runs": (["diff", "{dir}/good.h5", "{dir}/empty"], NO_RUN, 2),
}


@pytest.mark.parametrize("case", CREATE)
def test_refused(case, good, tmp_path):
    words, line, exit_code = CREATE[case]
    before = names(good), sha256(good / "good.h5")
    fill = lambda text: text.replace("{dir}", str(good)).replace("{new}", str(tmp_path / "new"))
    fails("archive", *map(fill, words), line=fill(line), exit_code=exit_code)
    assert names(good) == before[0] and sha256(good / "good.h5") == before[1] and not names(tmp_path)


def test_restore_where_a_file_is_in_the_place_of_a_folder(good, tmp_path):
    """Nothing is put beside it."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/one").write_text("mine")
    fails("archive", "restore", "--archive", good / "good.h5", "--out", tmp_path, "--overwrite",
          line=f"a file is in the place of a folder that is restored [{tmp_path}/runs/one] (restore into another folder)")
    assert names(tmp_path) == {"runs"} and names(tmp_path / "runs") == {"one"}


def test_a_name_that_is_not_utf8(good, tmp_path):
    folder = tmp_path / "runs"
    shutil.copytree(good / "runs/one", pathlib.Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9")), symlinks=True)
    done = subprocess.run(command("archive", "create", "--out", tmp_path / "a.h5", folder), env=environment(),
                          capture_output=True)
    line = f"refrain-archive: the name is not UTF-8, as names in archives are [{folder}/caf\udce9/eval.json] (rename the " \
           "file, or the folder that it is in)\n"
    assert (done.returncode, os.fsdecode(done.stderr)) == (1, line) and names(tmp_path) == {"runs"}
    LINES.add(("archive", "the name is not UTF-8, as names in archives are"))


class TestDamage:
    """Files that are not what they were: found before they are archived, and in the archive."""

    @pytest.mark.parametrize("name,line", [
        ("run.json", "the file does not match its sha256 [{}/run.json:sha256] (the file was changed or damaged; make it "
                     "again)"),
        ("metrics.h5", "cannot be opened as HDF5: truncated file [{}/metrics.h5] (the file is damaged or truncated; make it "
                       "again)"),
    ])
    def test_in_the_folder(self, tmp_path, name, line):
        folder = tmp_path / "one"
        write_member(folder)
        text = (folder / name).read_bytes()
        (folder / name).write_bytes(text.replace(b"0.1", b"0.2") if name == "run.json" else text[:len(text) // 2])
        fails("archive", "create", "--out", tmp_path / "one.h5", folder, line=line.format(folder))
        assert "one.h5" not in names(tmp_path)

    def test_lost_lines(self, tmp_path):
        """metrics.jsonl has no digest of its own: status.json has it."""
        folder = tmp_path / "one"
        write_member(folder)
        claim_metrics(folder, 100)
        size = (folder / "metrics.jsonl").stat().st_size
        refused = lambda line: fails("archive", "create", "--out", tmp_path / "one.h5", folder, line=line)
        refused(f"has {size} bytes that do not match the digest in status.json [{folder}/metrics.jsonl] (the file was "
                "changed, cut or damaged; resume the run from a checkpoint)")
        (folder / "metrics.jsonl").unlink()
        refused(f"is missing; by status.json it has 100 bytes [{folder}/metrics.jsonl] (put it back from a copy, or resume "
                "the run from a checkpoint)")

    @pytest.mark.parametrize("command", ["list", "restore"])
    def test_truncated(self, good, tmp_path, command):
        cut = tmp_path / "cut.h5"
        cut.write_bytes((good / "good.h5").read_bytes()[:-100])
        words = [cut] if command == "list" else ["--archive", cut, "--out", tmp_path / "new"]
        fails("archive", command, *words, line=f"cannot be opened as HDF5: truncated file [{cut}] (the file is damaged or "
                                              "truncated; make it again)")
        assert names(tmp_path) == {"cut.h5"}

    def test_verify_names_every_problem(self, good, tmp_path):
        """A byte changed by a program that writes HDF5 as it should, so that all checksums are right."""
        bad = shutil.copy(good / "good.h5", tmp_path / "bad.h5")
        with h5py.File(bad, "r+") as file:
            file["files/runs/one/run.json"][5] ^= 1
            file["files/runs/one/planted"] = numpy.frombuffer(b"planted", "u1")
            del file["files/runs/one/eval.json"]
        done = run("archive", "verify", good / "good.h5", bad, exit_code=1)
        lines = [f"the file lacks /files/runs/one/eval.json [{bad}] (make it again)",
                 f"the bytes do not match their SHA-256 [{bad}:/files/runs/one/run.json] (restore the archive from a copy, or "
                 "make it again)",
                 f"is not in the manifest [{bad}:/files/runs/one/planted] (files of ours never have this; make the archive "
                 "again)"]
        assert done.stderr.splitlines() == [f"refrain-archive: {line}" for line in lines]
        assert done.stdout.splitlines()[1] == f"{bad}: damaged"
        LINES.update(("archive", line.split(" [")[0]) for line in lines)
        fails("archive", "restore", "--archive", bad, "--out", tmp_path / "new", line=lines[0])
        assert names(tmp_path) == {"bad.h5"}

    @pytest.mark.parametrize("name,line,fault", [
        ("runs/one/verdicts.h5", OTHER_KIND, "of kind verdicts.v1"),
        ("runs", "this is a folder, not a file [{dir}/runs] (name a file in it)", "a folder"),
    ])
    def test_verify_of_something_else(self, good, name, line, fault):
        done = fails("archive", "verify", good / name, line=line.replace("{dir}", str(good)))
        assert done.stdout == f"{good}/{name}: no archive, but {fault}\n"

    def test_a_path_that_leads_out(self, good, tmp_path):
        bad = shutil.copy(good / "good.h5", tmp_path / "bad.h5")
        with h5py.File(bad, "r+") as file:
            manifest = json.loads(file["manifest"][:].tobytes())
            manifest.pop("sha256")
            manifest["files"][0]["path"] = "../outside"
            seal(tmp_path / "manifest", manifest)
            del file["manifest"]
            text = numpy.frombuffer((tmp_path / "manifest").read_bytes(), "u1")
            file.create_dataset("manifest", data=text, chunks=text.shape, fletcher32=True)
        fails("archive", "restore", "--archive", bad, "--out", tmp_path / "new",
              line=f"'../outside' is no path of a file in an archive [{bad}:/manifest] (the archive is damaged or not "
                   "ours; make it again)")


class TestWork:
    """Jobs that are at it."""

    @pytest.fixture
    def busy(self, tmp_path):
        """A create that stands still while it has its lock, and the words for its holder."""
        write_member(tmp_path / "large/one")
        (tmp_path / "large/one/final/weights-00001-of-00001.h5").write_bytes(numpy.random.default_rng(1).bytes(30 << 20))
        out = tmp_path / "large.h5"
        job = Running("archive", "create", "--out", out, tmp_path / "large", "--weights", "final", "--compression", 9)
        assert job.until(lambda: pathlib.Path(f"{out}.tmp").exists())
        job.kill(job.ranks(), signal.SIGSTOP)
        lock = json.loads(pathlib.Path(f"{out}.lock").read_text())
        yield out, job, f"process {lock['process']['pid']} on {lock['process']['host']}, since {lock['since']}"
        job.kill(job.ranks())
        job.wait()

    def test_two_at_one_archive(self, busy, good):
        out, job, holder = busy
        fails("archive", "create", "--out", out, good / "runs",
              line=f"another job is at work here: {holder} [{out}.lock] (wait until it ends, or stop it)")
        job.kill(job.ranks(), signal.SIGCONT)
        assert job.wait()[0] == 0
        run("archive", "verify", out)

    def test_a_running_run(self, busy, tmp_path):
        out, _, holder = busy
        folder = tmp_path / "one"
        write_member(folder)
        run("archive", "create", "--out", tmp_path / "before.h5", folder)
        shutil.copy(f"{out}.lock", folder / "lock")
        fails("archive", "create", "--out", tmp_path / "one.h5", folder,
              line=f"a job is at work here: {holder} [{folder}] (archive the run when it has ended)")
        assert "one.h5" not in names(tmp_path)
        for name in ("run.json", "status.json"):
            (folder / name).unlink()
        fails("archive", "restore", "--archive", tmp_path / "before.h5", "--out", tmp_path, "--overwrite",
              line=f"a job is at work here: {holder} [{folder}] (restore into another folder, or wait until it ends)")
        assert not (folder / "run.json").exists()
        # A lock whose holder is gone says nothing.
        lock = json.loads((folder / "lock").read_text())
        lock["process"]["pid"] = 2 ** 22 + 1
        (folder / "lock").write_text(json.dumps(lock))
        run("archive", "restore", "--archive", tmp_path / "before.h5", "--out", tmp_path, "--overwrite")
        run("archive", "create", "--out", tmp_path / "one.h5", folder)

    def test_a_signal(self, busy):
        out, job, _ = busy
        job.kill(job.ranks(), signal.SIGTERM)
        job.kill(job.ranks(), signal.SIGCONT)
        code, text = job.wait()
        assert code == 85
        assert text.splitlines()[-1] == "refrain-archive: stopped by a signal; nothing was changed (start it again)"
        assert not [name for name in names(out.parent) if name.startswith("large.h5")]


def space(what):
    """The line for a disk that is too small."""
    return re.compile(rf"refrain-archive: {what} may need [\d.]+ [KM]iB, and [\d.]+ KiB are free \[\S+\] "
                      r"\(free space, or name another disk\)\n")


class TestDisks:
    def test_no_space(self, tmp_path):
        """Asked for before anything is written; the archive that is there stays."""
        write_member(tmp_path / "one")
        with small_disk(tmp_path / "disk", "256k") as disk:
            run("archive", "create", "--out", disk / "a.h5", tmp_path / "one")
            before = sha256(disk / "a.h5")
            (tmp_path / "one/final/weights-00001-of-00001.h5").write_bytes(bytes(400_000))
            said = run("archive", "create", "--add", "--out", disk / "a.h5", tmp_path / "one", "--weights", "final",
                       exit_code=1).stderr
            assert space("the archive").fullmatch(said), said
            assert names(disk) == {"a.h5"} and sha256(disk / "a.h5") == before
        LINES.add(("archive", "the archive may need more than is free"))

    def test_no_space_to_restore(self, tmp_path):
        write_member(tmp_path / "one")
        (tmp_path / "one/final/weights-00001-of-00001.h5").write_bytes(bytes(400_000))
        run("archive", "create", "--out", tmp_path / "a.h5", tmp_path / "one", "--weights", "final")
        with small_disk(tmp_path / "disk", "256k") as disk:
            said = run("archive", "restore", "--archive", tmp_path / "a.h5", "--out", disk / "new", exit_code=1).stderr
            assert space("what is restored").fullmatch(said), said
            assert not names(disk)
        LINES.add(("archive", "what is restored may need more than is free"))

    def test_restored_onto_a_disk_of_its_own(self, good, tmp_path):
        """The folder that is restored into is a file system's root."""
        with small_disk(tmp_path / "disk", "4m") as disk:
            run("archive", "restore", "--archive", good / "good.h5", "--out", disk)
            assert names(disk) == {"runs"}

    def test_read_only(self, good, tmp_path):
        with read_only_disk(tmp_path / "disk") as disk:
            fails("archive", "create", "--out", disk / "a.h5", good / "runs",
                  line=f"cannot write the lock file: Read-only file system [{disk}/a.h5.lock] (the file system is "
                       "read-only: write elsewhere)")
