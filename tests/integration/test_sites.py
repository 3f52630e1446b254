"""Settings of sites: what each file sets and whence it is known; the modulefile, loaded by Lmod itself; the container's
definition."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

import refrain
from study_project import executable

SITES = sorted((refrain.SOURCE / "env/sites").glob("*.sh"))
LMOD = pathlib.Path("/usr/share/lmod/lmod/init/bash")
# What a site file may set: sbatch's input variables for who pays and what of a node, and the project's own that
# docs/cluster.md lists.
SLURM = {f"SBATCH_{name}" for name in ("ACCOUNT", "PARTITION", "QOS", "TIMELIMIT", "GRES", "CPUS_PER_GPU",
                                       "MEM_PER_NODE", "EXCLUSIVE", "CONSTRAINT", "RESERVATION")}
OURS = set(re.findall(r"`(REFRAIN_\w+)`", (refrain.SOURCE / "docs/cluster.md").read_text()))
SHELL = {"_", "PATH", "PWD", "SHLVL", "OLDPWD"}


def sourced(script):
    """What a script sets and which modules it loads, in a shell that stops at errors and unset names."""
    done = subprocess.run(["bash", "-euc", f'module() {{ echo "module $*" >&2; }}\n{script}\nenv -0'],
                          env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert done.returncode == 0, done
    names = dict(pair.split("=", 1) for pair in done.stdout.split("\0") if pair)
    return {name: value for name, value in names.items() if name not in SHELL}, done.stderr.splitlines()


def test_there_is_a_file_for_each_site():
    assert [path.stem for path in SITES] == ["jupiter", "leonardo", "marenostrum5", "plain"]
    assert {"REFRAIN_MODEL", "REFRAIN_RUNS", "REFRAIN_DISK_TB"} < OURS


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.stem)
def test_a_site_sets_what_it_may(path):
    names, modules = sourced(path.read_text())
    assert names and set(names) <= SLURM | OURS, names
    assert all(re.fullmatch(r"module (purge|load [A-Za-z0-9/._ -]+)", line) for line in modules), modules
    # A time that Slurm takes, and no account: that is the user's to fill in.
    assert re.fullmatch(r"(\d+-)?\d\d:\d\d:\d\d", names["SBATCH_TIMELIMIT"])
    assert "SBATCH_ACCOUNT" not in names
    assert re.fullmatch(r"gpu:\d", names.get("SBATCH_GRES", "gpu:4"))
    assert names.get("SBATCH_EXCLUSIVE", "exclusive") == "exclusive"  # sbatch refuses 1
    # What is offered in comments is of the same names, and can be taken as it is.
    offered, _ = sourced("WORK=/work SCRATCH=/scratch\n" + re.sub(r"^# (?=export |module )", "", path.read_text(), flags=re.M))
    assert set(offered) <= SLURM | OURS
    assert {"SBATCH_ACCOUNT", "REFRAIN_MODEL", "REFRAIN_PAIRS", "REFRAIN_RUNS"} <= set(offered)


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.stem)
def test_every_line_of_a_site_names_its_source(path):
    text = path.read_text()
    sources = re.findall(r"^# (?:Sources:|        ) \[(\d)\] (.+), (\S+/\S+)", text, re.M)
    assert sources and [number for number, _, _ in sources] == [str(i + 1) for i in range(len(sources))], sources
    head = " ".join(line.lstrip("# ") for line in text.partition("\n# ---")[0].splitlines())
    assert "ntried" in head
    settings = [line for line in text.splitlines() if re.match(r"(# )?(export|module) ", line)]
    assert len(settings) >= 8
    cited = set()
    for line in settings:
        source = re.search(r"\S +# \[(\d)\]", line)
        assert source, f"{path.name}: no source: {line}"
        cited.add(source[1])
    assert cited == {number for number, _, _ in sources}, "a source that no line needs, or a line without one"


def test_what_the_submitting_shell_set_wins_over_a_site(tmp_path):
    shutil.copytree(refrain.SOURCE / "slurm", tmp_path / "slurm")
    (tmp_path / "env").mkdir()
    site = (refrain.SOURCE / "env/sites/plain.sh").read_text().replace("# export REFRAIN_RUNS", "export REFRAIN_RUNS")
    (tmp_path / "env/site.sh").write_text(site)
    for own, wanted in ((None, "/scratch/runs"), ("/mine", "/mine")):
        variables = {"PATH": f"{refrain.BIN}:{os.environ['PATH']}", "REFRAIN_HOME": str(tmp_path)}
        if own:
            variables["REFRAIN_RUNS"] = own
        done = subprocess.run(["bash", "-c", '. "$REFRAIN_HOME/slurm/environment.sh"; echo "$REFRAIN_RUNS $SBATCH_TIMELIMIT"'],
                              env=variables, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"{wanted} 04:00:00\n"), done


@pytest.mark.parametrize("site, above, line", [
    ("export A='open\n", "unexpected EOF", "env/site.sh cannot be read, a line above says where [SITE] (correct it)"),
    ("module load openmpi\nexport A=1\n", "module: command not found",
     "a command of env/site.sh is not found, a line above names it [SITE] (correct it)"),
    ("false\nmodule load openmpi 2> /dev/null || true\n[[ -n $NONE ]] && export A=1\n", "", "gone on"),
])
def test_a_site_file_that_is_broken_ends_the_job(tmp_path, site, above, line):
    shutil.copytree(refrain.SOURCE / "slurm", tmp_path / "slurm")
    (tmp_path / "env").mkdir()
    (tmp_path / "env/site.sh").write_text(site)
    (tmp_path / "bin").mkdir()
    executable(tmp_path / "bin/refrain-study", "#!/bin/sh\necho 'generate: gone on' >&2\n")
    executable(tmp_path / "bin/scontrol", "#!/bin/sh\n")
    done = subprocess.run([tmp_path / "slurm/generate.sh"], capture_output=True, text=True,
                          env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "REFRAIN_HOME": str(tmp_path),
                               "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "generate"})
    assert above in done.stderr and done.returncode == (0 if line == "gone on" else 1), done
    assert done.stderr.splitlines()[-1] == "generate: " + line.replace("SITE", f"{tmp_path}/env/site.sh")


def test_a_script_that_was_copied_away_says_so(tmp_path):
    copied = shutil.copy(refrain.SOURCE / "slurm/dpo_8b_de.sh", tmp_path)
    executable(tmp_path / "scontrol", f"#!/bin/sh\necho '   Command={copied}'\n")
    done = subprocess.run([copied], capture_output=True, text=True,
                          env={"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "dpo_8b_de"})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"dpo_8b_de: no slurm/environment.sh in REFRAIN_HOME [{tmp_path}/..] (submit scripts where they stand, or export "
        "it)")



def lmod(folder, commands):
    if not LMOD.is_file():
        message = "Lmod is not installed (apt-get install lmod)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return subprocess.run(["bash", "-c", f'. {LMOD}; module use "$1" && {commands}', "bash", folder],
                          env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, capture_output=True, text=True)


def test_the_modulefile_finds_its_installation(tmp_path):
    prefix = tmp_path / "moved to (here) 1.0"
    modules = prefix / "share/refrain/modulefiles"
    (modules / "refrain").mkdir(parents=True)
    shutil.copy(refrain.SOURCE / "env/modules/refrain.lua", modules / "refrain/0.1.0.lua")
    done = lmod(modules, 'module load refrain && echo "$PATH" && echo "$REFRAIN_HOME" && module unload refrain && '
                         'echo "[$PATH][${REFRAIN_HOME:-}]" && module whatis refrain')
    assert done.returncode == 0, done
    path, home, without = done.stdout.splitlines()[:3]
    assert path.split(":")[0] == f"{prefix}/bin" and home == f"{prefix}/share/refrain"
    assert f"{prefix}" not in without and without.endswith("[]")
    assert "Version: 0.1.0" in done.stdout + done.stderr


def test_the_modulefile_outside_an_installation_says_so(tmp_path):
    (tmp_path / "refrain").mkdir()
    shutil.copy(refrain.SOURCE / "env/modules/refrain.lua", tmp_path / "refrain/0.1.0.lua")
    done = lmod(tmp_path, "module load refrain")
    assert done.returncode != 0
    assert ("refrain: this modulefile works from an installed tree (cmake --install build --prefix PREFIX)"
            in " ".join(done.stderr.split())), done.stderr


# --- the definition of the container -----------------------------------------------------------------------------------

DEFINITION = refrain.SOURCE / "env/refrain.def"
# The sections that Apptainer's definition files may have.
SECTIONS = {"labels", "files", "post", "environment", "test", "runscript", "startscript", "help", "setup", "arguments"}


def definition():
    """Header and sections of the definition."""
    header, *parts = re.split(r"^%", DEFINITION.read_text(), flags=re.M)
    fields = dict(line.split(": ", 1) for line in header.splitlines() if line and not line.startswith("#"))
    sections = {}
    for part in parts:
        name, _, body = part.partition("\n")
        assert name.strip() == name and name not in sections, name
        sections[name] = body
    return fields, sections


def test_the_definition_has_sections_that_apptainer_knows():
    fields, sections = definition()
    assert fields == {"Bootstrap": "docker", "From": "debian:12"}
    assert {"files", "post", "environment", "test", "runscript"} <= set(sections) <= SECTIONS
    assert all(line.startswith("    ") for body in sections.values() for line in body.splitlines() if line)
    assert "no image has been built from it" in DEFINITION.read_text()


def test_the_scripts_of_the_definition_are_sound(tmp_path):
    _, sections = definition()
    for name in ("post", "environment", "test", "runscript"):
        script = tmp_path / name
        script.write_text("#!/bin/sh\n" + sections[name])
        subprocess.run(["sh", "-n", script], check=True)
        if shutil.which("shellcheck"):
            done = subprocess.run(["shellcheck", script], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout
    done = subprocess.run(["sh", "-c", f". {tmp_path}/environment; echo $REFRAIN_HOME"], capture_output=True, text=True)
    assert done.stdout == "/usr/local/share/refrain\n"
    assert subprocess.run(["sh", tmp_path / "runscript", "echo", "a b"], capture_output=True, text=True).stdout == "a b\n"


def test_the_definition_takes_all_that_the_build_reads(tmp_path):
    """What it copies is enough to configure."""
    _, sections = definition()
    image = tmp_path / "image"
    image.mkdir()
    for line in sections["files"].splitlines():
        if line:
            source, target = line.split()
            assert target == "/opt/refrain/" and (refrain.SOURCE / source).exists(), line
            (shutil.copytree if (refrain.SOURCE / source).is_dir() else shutil.copy)(refrain.SOURCE / source, image / source)
    done = subprocess.run(["cmake", "-S", image, "-B", tmp_path / "build", "-G", "Ninja", "-DREFRAIN_TORCH=OFF",
                           "-DREFRAIN_PARQUET=OFF", "-DREFRAIN_TESTS=OFF"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
