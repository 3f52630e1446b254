"""Libraries from source archives: the list, what is lacking, digests, builds. With full counts all of them are fetched as
Debian's source packages, built, and the project is built on them."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile

import pytest

import refrain

LIST = refrain.SOURCE / "env/sources.txt"
ROWS = [line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#")]


def sources(*words, timeout=120, **variables):
    return subprocess.run([refrain.SOURCE / "env/sources.sh", *words], capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, **{name: str(value) for name, value in variables.items()}})


def refused(done, line):
    assert (done.returncode, done.stderr) == (1, f"sources.sh: {line}\n"), done


def test_the_list_says_all_that_is_needed():
    assert [row[0] for row in ROWS] == ["xxhash", "nlohmann-json3", "fmtlib", "spdlog", "catch2", "pcre2", "boost1.74", "hdf5"]
    for name, version, file, digest, how, *more in ROWS:
        assert file.startswith(f"{name}_{version}") and ".orig.tar." in file
        assert re.fullmatch("[0-9a-f]{64}", digest) and how in ("cmake", "boost") and more
    asked = re.findall(r"^lacking\(([^ )]+)", (refrain.SOURCE / "env/cmake/lacking/CMakeLists.txt").read_text(), re.M)
    assert sorted(asked) == sorted(row[0] for row in ROWS)


def test_what_cmake_does_not_find_is_lacking(tmp_path):
    assert sources("lacking", REFRAIN_DEPS=tmp_path).stdout == ""
    without = sources("lacking", REFRAIN_DEPS=tmp_path, PKG_CONFIG_LIBDIR="/nonexistent")
    assert (without.returncode, without.stdout) == (0, "xxhash\npcre2\n")
    done = sources("build", tmp_path, tmp_path / "prefix", REFRAIN_DEPS=tmp_path)
    assert (done.returncode, done.stdout) == (0, "sources: no library is lacking\n")
    refused(sources("build", tmp_path, tmp_path / "prefix", REFRAIN_DEPS=tmp_path, PKG_CONFIG_LIBDIR="/nonexistent"),
            f"xxhash is lacking, and {tmp_path} has no xxhash_0.8.1.orig.tar.gz (env/setup.sh --fetch gets it where there is "
            "internet; a module or package of xxhash does as well)")


@pytest.fixture
def small(tmp_path):
    """A list of one library, its archive, and the variables that point to both."""
    archive = tmp_path / "archives/small_1.0.orig.tar.gz"
    archive.parent.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "small-1.0"
        source.mkdir()
        (source / "small.c").write_text("int small(void) { return 7; }\n")
        (source / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(small C)\nadd_library(small small.c)\n"
            'if(WITH_FAULT)\n  message(FATAL_ERROR "a fault")\nendif()\ninstall(TARGETS small)\n')
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(source, "small-1.0")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (tmp_path / "list.txt").write_text(f"# name version file digest how\nsmall 1.0 {archive.name} {digest} cmake .\n")
    return archive, digest, {"REFRAIN_SOURCES_LIST": tmp_path / "list.txt", "REFRAIN_DEPS": tmp_path / "deps"}


def test_a_library_is_built_static(small, tmp_path):
    archive, _, variables = small
    done = sources("build", archive.parent, tmp_path / "a prefix", "small", **variables)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout == f"sources: building small 1.0 into {tmp_path}/a prefix\n"
    assert [path.name for path in (tmp_path / "a prefix/lib").iterdir()] == ["libsmall.a"]


def test_an_archive_with_another_digest_is_not_unpacked(small, tmp_path):
    archive, digest, variables = small
    text = bytearray(archive.read_bytes())
    text[len(text) // 2] ^= 1
    archive.write_bytes(text)
    is_now = hashlib.sha256(text).hexdigest()
    refused(sources("build", archive.parent, tmp_path / "prefix", "small", **variables),
            f"{archive} is not the archive that {tmp_path}/list.txt lists: SHA-256 {is_now}, not {digest} (fetch it again)")
    assert list((tmp_path / "prefix").iterdir()) == []


def test_wrong_arguments_and_lists_are_one_line(small, tmp_path):
    archive, digest, variables = small
    listing = tmp_path / "list.txt"
    refused(sources("biuld"), "unknown argument biuld (see env/sources.sh --help)")
    refused(sources("fetch"), "fetch wants a folder (see env/sources.sh --help)")
    refused(sources("build", tmp_path), "build wants the archives' folder and a prefix (see env/sources.sh --help)")
    refused(sources("build", archive.parent, tmp_path / "prefix", "smal", **variables),
            f"{listing} does not list smal (it lists small)")
    listing.write_text(listing.read_text().replace("cmake .", "make"))
    done = sources("build", archive.parent, tmp_path / "prefix", "small", **variables)
    assert done.stderr == f"sources.sh: {listing} does not say how small is built: cmake or boost\n"


def test_a_build_that_fails_names_its_log(small, tmp_path):
    archive, _, variables = small
    listing = tmp_path / "list.txt"
    listing.write_text(listing.read_text().replace("cmake .", "cmake . -DWITH_FAULT=ON"))
    done = sources("build", archive.parent, tmp_path / "prefix", "small", **variables)
    assert done.returncode == 1 and "a fault" in done.stderr
    assert done.stderr.splitlines()[-1] == (f"sources.sh: failed: build_by_cmake . -DWITH_FAULT=ON (the whole log: "
                                            f"{tmp_path}/deps/log/small.log)")


def test_setup_refuses_a_folder_that_is_not_there():
    done = subprocess.run([refrain.SOURCE / "env/setup.sh"], capture_output=True, text=True,
                          env=dict(os.environ, REFRAIN_SOURCES="/no/such"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "setup.sh: REFRAIN_SOURCES=/no/such is no folder (env/setup.sh --fetch DIR makes DIR/sources)\n"


@pytest.mark.skipif(not refrain.LONG, reason="minutes, and archives from the configured mirror: with full counts (env/test.sh long)")
def test_the_project_is_built_on_them():
    """As on a site that has none of them (here CMake would rather take the system's Boost): its own folder of dependencies,
    and installed programs that need nothing of it."""
    cache = (refrain.BIN.parent / "CMakeCache.txt").read_text()
    libtorch = re.search(r"^REFRAIN_LIBTORCH:PATH=(.+)$", cache, re.M)
    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder)
        variables = {"REFRAIN_DEPS": str(here / "deps"), "REFRAIN_BUILD": str(here / "build"),
                     "REFRAIN_SOURCES": str(here / "archives"), "REFRAIN_LIBTORCH": libtorch[1], "REFRAIN_PYARROW": "none",
                     "REFRAIN_CMAKE_ARGS": "-DREFRAIN_TORCH=OFF -DREFRAIN_PARQUET=OFF -DREFRAIN_TESTS=OFF "
                                           f"-DBoost_NO_BOOST_CMAKE=ON -DBOOST_ROOT={here}/deps/libraries"}
        done = sources("fetch", here / "archives", timeout=600, **variables)
        assert done.returncode == 0, done
        assert sorted(path.name for path in (here / "archives").iterdir()) == sorted(row[2] for row in ROWS)
        done = sources("build", here / "archives", here / "deps/libraries", *(row[0] for row in ROWS), timeout=1800, **variables)
        assert done.returncode == 0, done
        done = subprocess.run([refrain.SOURCE / "env/setup.sh"], capture_output=True, text=True, timeout=3000,
                              env={**os.environ, **variables})
        assert done.returncode == 0 and "sources: no library is lacking\n" in done.stdout, done
        installed = here / "installed"
        subprocess.run(["cmake", "--install", here / "build", "--prefix", installed], check=True, capture_output=True)
        shutil.rmtree(here / "deps")
        shutil.rmtree(here / "build")
        for program in (installed / "bin").iterdir():
            linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
            assert not re.search("not found|hdf5|boost|spdlog|libfmt|xxhash|pcre2", linked), linked
        inputs = here / "inputs"
        subprocess.run(["python3", refrain.SOURCE / "env/quickstart/make_inputs.py", inputs, "--ability", "2", "--pairs", "2",
                        "--held-out", "2"], check=True, timeout=120)
        words = ("--pairs", inputs / "pairs.jsonl", "--tokenizer", inputs / "tokenizer", "--configuration", "balanced")
        refrain.run("shard", *words, "--out", here / "pairs.h5", binaries=installed / "bin", ranks=2)
        refrain.run("convert", "verify", here / "pairs.h5")
