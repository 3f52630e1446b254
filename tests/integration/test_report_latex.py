"""What the report writes for LaTeX, compiled: every table, every figure and the appendix, in one document."""

import re
import shutil
import subprocess

import pytest

from refrain import run
from run_folders import write_run
from verdict_files import LANGUAGES, drawn, write_verdicts

DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,longtable,array,graphicx}
\begin{document}
%s
\end{document}
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The report's folder, and LaTeX's log of a document that takes all of it."""
    folder = tmp_path_factory.mktemp("latex")
    verdicts = []
    for seed, name in enumerate(["base & co_1", *LANGUAGES]):
        verdicts.append(f"{name}={write_verdicts(folder / f'{seed}.h5', *drawn(seed, 0.3, prompts=6))}")
    run("report", "--verdicts", *verdicts, "--runs", write_run(folder / "runs/en", steps=3), "--out", folder / "report")
    tables = sorted(path.stem for path in (folder / "report").glob("*.tex"))
    figures = sorted(path.name for path in (folder / "report").glob("*.pdf"))
    assert {"asr", "agreement", "transfer", "appendix"} <= set(tables) and figures
    (folder / "report/all.tex").write_text(DOCUMENT % "\n".join(
        [f"\\message{{[begins {name}]}}\\input{{{name}}}\\clearpage" for name in tables]
        + [f"\\noindent\\includegraphics[width=\\textwidth]{{{name}}}" for name in figures]))
    if shutil.which("pdflatex") is None:
        pytest.fail("pdflatex is not here: install what env/packages-test.txt lists")
    for _ in range(3):  # longtable asks for its widths again
        done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"], timeout=120,
                              cwd=folder / "report", capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-3000:]
    return folder / "report", (folder / "report/all.log").read_text(errors="replace")


def test_it_compiles(compiled):
    folder, log = compiled
    assert (folder / "all.pdf").stat().st_size > 10_000
    assert "undefined" not in log and "Missing character" not in log


def test_nothing_is_wider_than_the_page(compiled):
    """Overfull boxes, but for what the eye does not see."""
    too_wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([0-9.]+)pt too wide\)", compiled[1])]
    assert max(too_wide, default=0) < 12, compiled[1]
