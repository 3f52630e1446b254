"""`cmake --install` gives a tree that runs from elsewhere, without the source tree's help."""

import json
import os
import shutil
import subprocess

import refrain


def test_installed_tree_runs_where_it_was_moved(tmp_path):
    build = refrain.BIN.parent
    subprocess.run(["cmake", "--install", build, "--prefix", tmp_path / "first"], check=True, capture_output=True,
                   timeout=120)
    home = tmp_path / "moved to" / "here"
    home.parent.mkdir()
    shutil.move(tmp_path / "first", home)
    programs = sorted(path.name for path in (home / "bin").iterdir())
    assert programs == [f"refrain-{job}" for job in ("archive", "convert", "generate", "judge", "report", "shard", "study", "train")]
    for program in programs:
        linked = subprocess.run(["ldd", home / "bin" / program], capture_output=True, text=True, check=True).stdout
        assert "not found" not in linked, linked
        subprocess.run([home / "bin" / program, "--version"], check=True, capture_output=True)
    light = subprocess.run(["ldd", home / "bin/refrain-shard"], capture_output=True, text=True, check=True).stdout
    assert "libtorch" not in light

    # Data files come from the installation: a configuration that only its file has is known.
    sets = home / "share/refrain/shard/language_sets.json"
    known = json.loads(sets.read_text())
    known["sets"]["only-here"] = {"about": "planted", "languages": ["en"]}
    sets.chmod(0o644)
    sets.write_text(json.dumps(known))
    inputs = tmp_path / "inputs"
    subprocess.run(["python3", refrain.SOURCE / "env/quickstart/make_inputs.py", inputs, "--ability", "2",
                    "--pairs", "2", "--held-out", "2"],
                   check=True, timeout=120)
    refrain.run("shard", "--pairs", inputs / "pairs.jsonl", "--tokenizer", inputs / "tokenizer",
                "--configuration", "only-here", "--out", tmp_path / "pairs.h5", binaries=home / "bin", cwd=tmp_path)
    refrain.run("convert", "init", "--model-config", inputs / "model.config.json", "--tokenizer", inputs / "tokenizer",
                "--seed", 1, "--out", tmp_path / "model", binaries=home / "bin", cwd=tmp_path)
    refrain.run("train", "--pairs", tmp_path / "pairs.h5", "--init", tmp_path / "model", "--run-dir", tmp_path / "run",
                "--max-steps", 1, "--global-batch-pairs", 2, binaries=home / "bin", ranks=2, cwd=tmp_path)
    refrain.run("convert", "verify", tmp_path / "run", binaries=home / "bin")

    # What a cluster needs stands beside it, and a script's folder leads to the programs.
    assert os.access(home / "share/refrain/slurm/dpo_70b_balanced.sh", os.R_OK)
    assert (home / "share/refrain/env/site.sh.example").is_file()
    assert (home / "share/refrain/env/sites/leonardo.sh").is_file()
    assert [path.suffix for path in (home / "share/refrain/modulefiles/refrain").iterdir()] == [".lua"]
    found = subprocess.run(["bash", "-c", '. "$REFRAIN_HOME/slurm/environment.sh"; command -v refrain-study'],
                           env=dict(os.environ, REFRAIN_HOME=str(home / "share/refrain")), capture_output=True,
                           text=True)
    assert found.stdout.strip() and os.path.samefile(found.stdout.strip(), home / "bin/refrain-study"), found
