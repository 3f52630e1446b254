"""refrain-judge by fastText's language identification: the published model, one of one's own, and files that are none."""

import math
import os
import shutil
import subprocess

import pytest

from judging import SECRET, answers, column, published_language_model
from refrain import data, fails, run
from shard_files import datasets, provenance
from verdict_files import LANGUAGES, NOT_ASKED, UNPARSED, read_columns, write_responses


def judge(responses, out, model, ranks=1):
    return run("judge", "--judge", "language", "--responses", *responses, "--out", *out, "--language-model", model,
               ranks=ranks).stderr


@pytest.mark.parametrize("ranks", [1, 3])
def test_languages(tmp_path, ranks):
    """Whole articles are of their own language; one in another is told; what has no letters is of none."""
    texts = {name: " ".join(data(f"udhr/{name}.txt").read_text("utf-8").splitlines()[5:9]) for name in LANGUAGES}
    rows = [{"row_id": i, "language": name, "text": text} for i, (name, text) in enumerate(texts.items())]
    rows += [{"row_id": 12, "language": "de", "text": texts["en"]}, {"row_id": 13, "language": "en", "text": "17, 18."},
             {"row_id": 14, "language": "", "text": texts["fr"]}, {"row_id": 15, "language": "pl", "text": ""}]
    out = tmp_path / "out.h5"
    said = judge([write_responses(tmp_path / "r.h5", rows)], [out], published_language_model(), ranks)
    columns = read_columns(out, "judges/language")
    assert columns["consistent"] == [1] * 12 + [0, UNPARSED, NOT_ASKED, UNPARSED]
    assert columns["language"] == [*LANGUAGES, "en", "", "", ""]
    assert all(0.3 < score <= 1 for score in columns["score"][:13])
    assert all(math.isnan(score) for score in columns["score"][13:])
    assert "1 in another language, 12 in the prompt's language, 2 unparsed, 1 not asked" in said
    made = provenance(out)
    assert len(made["judges"]["language"]["language_model"]) == 64
    run("convert", "verify", out)


def test_a_language_model_of_ones_own(tmp_path):
    """Trained by fastText's own program, with labels of three letters and a script."""
    if not shutil.which("fasttext") and not os.environ.get("CI"):
        pytest.skip("there is no program fasttext (Debian's package of this name)")
    labels = {"en": "eng_Latn", "de": "deu_Latn"}
    lines = [f"__label__{label} {line.lower()}" for name, label in labels.items()
             for line in data(f"udhr/{name}.txt").read_text("utf-8").splitlines()]
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n", "utf-8")
    subprocess.run(["fasttext", "supervised", "-input", tmp_path / "train.txt", "-output", tmp_path / "model", "-dim", "8",
                    "-bucket", "2000", "-minn", "2", "-maxn", "3", "-epoch", "60", "-lr", "0.5", "-thread", "1"],
                   check=True, capture_output=True, timeout=120)
    file = answers(tmp_path, ["everyone has the right to freedom of thought", "jeder hat das recht auf bildung"])
    judge([file], [tmp_path / "out.h5"], tmp_path / "model.bin")
    assert column(tmp_path / "out.h5", "language", "language") == ["en", "de"]
    assert column(tmp_path / "out.h5", "language", "consistent") == [1, 0]


def test_several_files_equal_one_at_a_time(tmp_path):
    """And no text of them is logged."""
    model = published_language_model()
    files = [answers(tmp_path, [f"{SECRET} {name}", "This is a sentence."], f"r-{name}") for name in ("one", "two")]
    alone, together = ([tmp_path / f"{how}-{i}.h5" for i in range(2)] for how in ("alone", "together"))
    for file, out in zip(files, alone):
        judge([file], [out], model)
    said = judge(files, together, model, ranks=2)
    assert [datasets(path) for path in together] == [datasets(path) for path in alone]
    assert judge(files, together, model).count("already") == 2 and SECRET not in said


def test_models_that_are_none(tmp_path):
    def refused(name, content, line, ranks=1):
        (tmp_path / name).write_bytes(content)
        fails("judge", "--judge", "language", "--responses", file, "--out", tmp_path / "out.h5", "--language-model",
              tmp_path / name, line=line, ranks=ranks)
        assert not (tmp_path / "out.h5").exists()

    file = answers(tmp_path, [SECRET])
    refused("page.ftz", b"<html>not found</html>" * 9, f"the file is no fastText model [{tmp_path}/page.ftz] (give fastText's "
            "lid.176.ftz or lid.176.bin (see docs/verdicts.md))")
    refused("cut.ftz", published_language_model().read_bytes()[:5000],
            f"the fastText model is cut off [{tmp_path}/cut.ftz:dictionary] (fetch it again)", ranks=2)
