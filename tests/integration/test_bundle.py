"""The bundle: what starts its programs, and what env/bundle.sh refuses. With full counts it is packed and run in a root
of Debian 13 that has none of the packages, and in one whose glibc is too old."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

import refrain

START = refrain.SOURCE / "env/bundle/start"
BUILD = refrain.BIN.parent


def bundle(*options, build=BUILD, timeout=600, **variables):
    return subprocess.run([refrain.SOURCE / "env/bundle.sh", *options], capture_output=True, text=True, timeout=timeout,
                          env=dict(os.environ, REFRAIN_BUILD=str(build), **variables))


# --- what starts its programs ------------------------------------------------------------------------------------------


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def tree(tmp_path):
    """A bundle of one program that prints what it is started with. It needs glibc 2.36."""
    tree = tmp_path / "a folder"
    program(tree / "libexec/refrain-probe", 'echo "$0 $*"; echo "${OPAL_PREFIX:-none}"')
    program(tree / "libexec/mpirun", "echo the bundle\\'s mpirun")
    (tree / "libexec/start").write_text(START.read_text().replace("@GLIBC@", "2.36"))
    (tree / "libexec/start").chmod(0o755)
    (tree / "bin").mkdir()
    for name in ("refrain-probe", "mpirun"):
        (tree / "bin" / name).symlink_to("../libexec/start")
    (tree / "mpi").mkdir()
    return tree


def start(tree, *words, glibc="glibc 2.36", name="refrain-probe", link=None):
    """Starts a program on a system of that glibc."""
    fakes = tree.parent / "fakes"
    program(fakes / "getconf", f"[ $1 = GNU_LIBC_VERSION ] && {f'echo {glibc}' if glibc else 'false'}")
    return subprocess.run([link or tree / "bin" / name, *words], capture_output=True, text=True,
                          env={"PATH": f"{fakes}:/usr/bin:/bin"})


@pytest.mark.parametrize("glibc", ["glibc 2.36", "glibc 2.41", "glibc 2.36.9000", "glibc 2.100"])
def test_a_program_starts_where_glibc_is_new_enough(tree, glibc):
    done = start(tree, "--beta", "0.1 0.2", glibc=glibc)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tree}/libexec/refrain-probe --beta 0.1 0.2\n{tree}/mpi\n"


def test_a_program_starts_through_links_to_it(tree, tmp_path):
    (tmp_path / "refrain-probe").symlink_to(tree / "bin/refrain-probe")
    assert start(tree, link=tmp_path / "refrain-probe").stdout.startswith(f"{tree}/libexec/refrain-probe")


@pytest.mark.parametrize("glibc, has", [("glibc 2.28", "2.28"), ("glibc 2.34", "2.34"), ("glibc 2.9", "2.9"),
                                        ("", "none"), ("musl", "none")])
def test_an_older_glibc_is_one_line(tree, glibc, has):
    done = start(tree, glibc=glibc)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("refrain-probe: this bundle needs glibc 2.36 or later, and the one of this system is "
                           f"{has} (build on the site: docs/sites.md)\n")


def test_the_sites_open_mpi_takes_the_bundles_place(tree, tmp_path):
    (tree / "mpi").rmdir()
    done = start(tree)
    assert (done.returncode, done.stderr) == (
        1, f"refrain-probe: this bundle has no MPI ({tree}/mpi should be a link to the folder of an Open MPI 4 or 5, with "
           "lib/libmpi.so.40)\n")
    program(tmp_path / "site/bin/mpirun", "echo the site\\'s mpirun")
    (tree / "mpi").symlink_to(tmp_path / "site")
    assert start(tree).stdout.splitlines()[1] == "none"
    assert start(tree, name="mpirun").stdout == "the site's mpirun\n"


# --- what env/bundle.sh refuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options, line", [
    (["--ouput", "x.tar"], "unknown argument --ouput (see env/bundle.sh --help)"),
    (["--out"], "--out needs a value (see env/bundle.sh --help)"),
    (["--out", "/no/such/x.tar"], "--out: there is no folder /no/such"),
])
def test_a_wrong_argument_is_one_line(options, line):
    done = bundle(*options)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"bundle.sh: {line}\n")


def test_a_build_that_cannot_be_packed_is_one_line(tmp_path):
    def refused(line):
        done = bundle("--out", tmp_path / "x.tar", build=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"bundle.sh: {line}\n")

    refused(f"{tmp_path}/bin has no refrain-train (build first: env/setup.sh; REFRAIN_BUILD names another folder)")
    program(tmp_path / "bin/refrain-train", "exit 0")
    (tmp_path / "setup-arguments").write_text("-DREFRAIN_CUDA=ON")
    refused(f"{tmp_path} is a build for GPUs, whose libraries load others by name: build on the site instead (docs/sites.md)")
    (tmp_path / "setup-arguments").unlink()
    shutil.copy("/bin/true", tmp_path / "bin/refrain-train")
    refused("the programs are linked with no MPI, and only Open MPI 4 is bundled (--without-mpi leaves it out)")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin"]


# --- packed, and run where nothing of it is installed ------------------------------------------------------------------


def needs_full_counts():
    if not refrain.LONG:
        pytest.skip("minutes, and packages from the configured mirror: with full counts (env/test.sh long)")
    assert refrain.ROOT, "debootstrap and chroot need root"


def bare_root(folder, suite):
    """The smallest root of a Debian, from the mirror that apt is configured with."""
    places = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
                            capture_output=True, text=True, check=True).stdout.split()
    mirror = next(place for place in places if place.rstrip("/").endswith("/debian"))
    done = subprocess.run(["debootstrap", "--variant=minbase", suite, folder, mirror], capture_output=True, text=True,
                          timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


def inside(root, script):
    """Runs a script in the root, with mounts that end with it and an empty environment."""
    mounts = "for place in proc sys dev; do mount --rbind /$place $1/$place; done; exec chroot $1 /usr/bin/env -i "
    return subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                           mounts + 'PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -ec "$2"', "sh", root, script],
                          capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def packed():
    needs_full_counts()
    with tempfile.TemporaryDirectory() as folder:
        yield pack(pathlib.Path(folder) / "refrain.tar.gz")


@pytest.fixture
def room():
    """A folder for a root of a system, which does not stay."""
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder)


def pack(out):
    done = bundle("--out", out)
    assert (done.returncode, done.stderr) == (0, ""), done
    print(done.stdout)
    said = re.fullmatch(r"glibc: (2\.\d+) or later, for \S+\nMPI: Open MPI v4\.\S+\nsize: (\d+) MiB, packed (\d+) MiB\n"
                        rf"bundle: {out}\n", done.stdout)
    assert said and int(said[2]) < 700 and int(said[3]) < 250, done.stdout
    return out, said[1]


def newest_glibc(folder):
    """The newest version of a glibc symbol that any file of the folder asks for, by another tool than bundle.sh's."""
    versions = set()
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file() and not path.is_symlink() and path.open("rb").read(4) == b"\x7fELF":
            symbols = subprocess.run(["objdump", "-T", path], capture_output=True, text=True).stdout
            versions.update(map(int, re.findall(r"GLIBC_2\.(\d+)", symbols)))
    return f"2.{max(versions)}"


def inputs_for(root):
    subprocess.run(["python3", refrain.SOURCE / "env/quickstart/make_inputs.py", root / "root/inputs", "--ability", "2",
                    "--pairs", "4", "--held-out", "2"], check=True, timeout=120)


RUNS = """
refrain-shard --pairs inputs/pairs.jsonl --tokenizer inputs/tokenizer --configuration english-only --out {out}/pairs.h5
refrain-convert init --model-config inputs/model.config.json --tokenizer inputs/tokenizer --seed 1 --out {out}/model
refrain-train --pairs {out}/pairs.h5 --init {out}/model --run-dir {out}/alone --max-steps 3 --global-batch-pairs 2
mpirun --oversubscribe -n 2 refrain-train --pairs {out}/pairs.h5 --init {out}/model --run-dir {out}/together --max-steps 3 \
  --global-batch-pairs 2 --tensor-parallel 2
refrain-convert verify {out}/alone {out}/together
"""
SETTINGS = "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1; cd /root; mkdir {out}\n"


def test_the_bundle_runs_in_a_bare_debian_13(packed, room):
    tar, glibc = packed
    root = bare_root(room / "trixie", "trixie")
    there = inside(root, "dpkg-query -W -f '${Package}\\n'; ldconfig -p").stdout
    for absent in ("openmpi", "hdf5", "boost", "libmpi", "libtorch", "spdlog", "libicu", "fasttext", "openssh-client"):
        assert absent not in there, absent
    inputs_for(root)
    (root / "opt/site software").mkdir()
    subprocess.run(["tar", "-C", root / "opt/site software", "-xf", tar], check=True)
    home = next((root / "opt/site software").iterdir())
    assert newest_glibc(home) == glibc
    prefix = pathlib.Path("/") / home.relative_to(root)
    done = inside(root, SETTINGS.format(out="bare") + f"export PATH='{prefix}/bin':$PATH\n" + RUNS.format(out="bare") +
                  f"for program in '{prefix}'/bin/refrain-*; do \"$program\" --version; done\n"
                  f"REFRAIN_HOME='{prefix}/share/refrain'; . \"$REFRAIN_HOME/slurm/environment.sh\"; command -v refrain-study\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("bin/refrain-study\n")
    # What it computes there is what the build computes here.
    here = subprocess.run(["bash", "-ec", f"cd {root}/root; mkdir here; export PATH={refrain.BIN}:$PATH\n" + RUNS.format(out="here")],
                          env=refrain.environment(), capture_output=True, text=True, timeout=300)
    assert here.returncode == 0, here.stdout + here.stderr
    for run in ("alone", "together"):
        ours, theirs = (refrain.metrics(root / "root" / side / run) for side in ("here", "bare"))
        assert len(ours) == 3
        for a, b in zip(ours, theirs, strict=True):
            assert {k: v for k, v in a.items() if k not in refrain.NOT_THE_RESULT} == \
                   {k: v for k, v in b.items() if k not in refrain.NOT_THE_RESULT}


def test_an_older_system_is_told_so(packed, room):
    tar, glibc = packed
    root = bare_root(room / "bullseye", "bullseye")
    subprocess.run(["tar", "-C", root / "opt", "-xf", tar], check=True)
    done = inside(root, "/opt/*/bin/refrain-train --version")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f"refrain-train: this bundle needs glibc {glibc} or later, and the one of this system is 2.31 "
                           "(build on the site: docs/sites.md)\n")


def test_the_sites_mpi_is_used_where_it_is_linked(room):
    """The site is this machine: its Open MPI starts the programs of a bundle that has none."""
    needs_full_counts()
    done = bundle("--without-mpi", "--out", room / "refrain.tar")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "\nMPI: the site's: make mpi/ a link to it\n" in done.stdout
    subprocess.run(["tar", "-C", room, "-xf", room / "refrain.tar"], check=True)
    home = next(path for path in room.iterdir() if path.is_dir())
    assert not list(home.rglob("libmpi*"))
    libmpi = pathlib.Path(re.search(r"libmpi\.so\.40 => (\S+)", subprocess.run(
        ["ldd", BUILD / "bin/refrain-train"], capture_output=True, text=True).stdout)[1])
    (room / "site/bin").mkdir(parents=True)
    (room / "site/lib").symlink_to(libmpi.parent)
    (room / "site/bin/mpirun").symlink_to(shutil.which("mpirun"))
    (home / "mpi").symlink_to(room / "site")
    (room / "root").mkdir()
    inputs_for(room)
    done = subprocess.run(["bash", "-ec", f"cd {room}/root; mkdir out; export PATH={home}/bin:$PATH\n" + RUNS.format(out="out")],
                          env=refrain.environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "2 ranks (tensor 2 x data 1" in done.stderr, done.stdout + done.stderr
