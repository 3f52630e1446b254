"""refrain-report's statistics against scipy and statsmodels, on verdicts drawn for the test."""

import csv

import numpy
import pytest
from scipy import stats
from statsmodels.stats import contingency_tables, inter_rater, multitest, proportion

from refrain import run
from verdict_files import UNPARSED, drawn, write_responses, write_verdicts

SHARES = {"base": 0.6, "english-only": 0.55, "high-resource": 0.35, "balanced": 0.05}
RESAMPLES = 4000


def report(folder, checkpoints, *options):
    for name, (rows, judges) in checkpoints.items():
        write_verdicts(folder / f"{name}.h5", rows, judges)
    run("report", "--verdicts", *(f"{name}={folder / name}.h5" for name in checkpoints), "--out", folder / "report",
        "--resamples", RESAMPLES, *options)

    def read(name):
        with open(folder / f"report/{name}.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    return read


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    checkpoints = {name: drawn(seed, share) for seed, (name, share) in enumerate(SHARES.items())}
    return checkpoints, report(tmp_path_factory.mktemp("study"), checkpoints)


def test_wilson(study):
    _, read = study
    for row in read("asr") + read("categories"):
        decided = int(row["n"]) - int(row["unparsed"])
        low, high = proportion.proportion_confint(int(row["unsafe"]), decided, method="wilson")
        assert (float(row["ci_low"]), float(row["ci_high"])) == pytest.approx((low, high), abs=1e-10)


def test_kappa(study):
    _, read = study
    compared = 0
    for row in read("agreement"):
        table = [[int(row["both_safe"]), int(row["only_b"])], [int(row["only_a"]), int(row["both_unsafe"])]]
        with numpy.errstate(invalid="ignore", divide="ignore"):
            kappa = inter_rater.cohens_kappa(numpy.array(table), return_results=False)
        if numpy.isnan(kappa):
            assert row["kappa"] == ""
            continue
        assert float(row["kappa"]) == pytest.approx(kappa, abs=1e-10)
        compared += 1
    assert compared > 40


def pairs(checkpoints, name, language):
    """(baseline, name) labels of the prompts that both decided."""
    label = lambda rows: {(row["language"], row["row_id"]): row["final"] for row in rows
                          if row["final"] != UNPARSED and language in ("all", row["language"])}
    before, after = label(checkpoints["base"][0]), label(checkpoints[name][0])
    return [(before[key], after[key]) for key in sorted(before.keys() & after.keys())]


def test_mcnemar_and_holm(study):
    checkpoints, read = study
    table = read("comparisons")
    assert len(table) == 3 * 13
    for row in table:
        labels = pairs(checkpoints, row["name"], row["language"])
        counts = numpy.array([[labels.count((a, b)) for b in (0, 1)] for a in (0, 1)])
        assert [int(row[key]) for key in ("n", "only_baseline", "only_name")] == [len(labels), counts[1, 0], counts[0, 1]]
        assert float(row["p"]) == pytest.approx(contingency_tables.mcnemar(counts, exact=True).pvalue, rel=1e-9)
        discordant = int(counts[0, 1] + counts[1, 0])
        if discordant:
            assert float(row["p"]) == pytest.approx(stats.binomtest(int(counts[0, 1]), discordant).pvalue, rel=1e-9)
        assert float(row["difference"]) == pytest.approx(numpy.mean([b - a for a, b in labels]))
    for pooled in (True, False):
        rows = [row for row in table if (row["language"] == "all") == pooled]
        adjusted = multitest.multipletests([float(row["p"]) for row in rows], method="holm")[1]
        assert [float(row["p_holm"]) for row in rows] == pytest.approx(list(adjusted), rel=1e-9)


def test_paired_difference_interval(study):
    """Newcombe's method 10, from statsmodels' Wilson intervals."""
    checkpoints, read = study
    for row in read("comparisons"):
        labels = pairs(checkpoints, row["name"], row["language"])
        e, f, g, h = (labels.count(key) for key in ((1, 1), (0, 1), (1, 0), (0, 0)))
        n = e + f + g + h
        p1, p2 = (e + f) / n, (e + g) / n
        l1, u1 = proportion.proportion_confint(e + f, n, method="wilson")
        l2, u2 = proportion.proportion_confint(e + g, n, method="wilson")
        margins = (e + f) * (g + h) * (e + g) * (f + h)
        excess = e * h - f * g
        phi = 0 if margins == 0 else (max(excess - n / 2, 0) if excess > 0 else excess) / margins ** 0.5
        root = lambda x, y: (x * x - 2 * phi * x * y + y * y) ** 0.5
        assert float(row["ci_low"]) == pytest.approx(p1 - p2 - root(p1 - l1, u2 - p2), abs=1e-9)
        assert float(row["ci_high"]) == pytest.approx(p1 - p2 + root(u1 - p1, p2 - l2), abs=1e-9)


def cluster_sums(rows, key):
    """(unsafe, decided) of each cluster."""
    sums = {}
    for row in rows:
        if row["final"] != UNPARSED:
            entry = sums.setdefault(key(row), [0, 0])
            entry[0] += row["final"]
            entry[1] += 1
    return numpy.array([sums[k] for k in sorted(sums)])


def template(row_id):
    """A long prompt whose words but the last are those of 30 others."""
    draw = numpy.random.default_rng(row_id % 50)
    return " ".join(f"word{draw.integers(10**6)}" for _ in range(40)) + f" restricted activity {row_id}"


CLUSTERS = {"category and style within a language": ({"prompts": 600, "categories": 60}, lambda row: row["category"]),
            "source prompt": ({"prompts": 80, "samples": 4}, lambda row: row["row_id"]),
            "prompts of nearly the same words within a language": ({"prompts": 600, "categories": 0},
                                                                   lambda row: row["row_id"] % 50)}


@pytest.mark.parametrize("clusters", CLUSTERS)
def test_cluster_bootstrap(tmp_path, clusters):
    """One language: scipy.stats.bootstrap over the same clusters. Both are draws, so ends agree within their own error: a
    tenth of the interval."""
    shape, key = CLUSTERS[clusters]
    checkpoints = {name: drawn(seed, share, languages=["en"], **shape)
                   for seed, (name, share) in enumerate({"base": 0.6, "balanced": 0.2}.items())}
    texts = [{**row, "prompt": template(row["row_id"]), "text": ""} for row in checkpoints["base"][0]]
    write_responses(tmp_path / "responses.h5", texts)
    read = report(tmp_path, checkpoints, "--responses", f"base={tmp_path}/responses.h5")
    sums = {name: cluster_sums(rows, key) for name, (rows, _) in checkpoints.items()}
    ratio = lambda unsafe, decided, axis=-1: numpy.sum(unsafe, axis) / numpy.sum(decided, axis)
    draws = dict(paired=True, method="percentile", n_resamples=RESAMPLES, rng=numpy.random.default_rng(5), vectorized=True)
    for row in read("pooled"):
        interval = stats.bootstrap(tuple(sums[row["name"]].T), ratio, **draws).confidence_interval
        width = interval.high - interval.low
        assert float(row["cluster_low"]) == pytest.approx(interval.low, abs=width / 10)
        assert float(row["cluster_high"]) == pytest.approx(interval.high, abs=width / 10)
    both = (*sums["balanced"].T, *sums["base"].T)
    difference = lambda a, b, c, d, axis=-1: ratio(a, b, axis) - ratio(c, d, axis)
    interval = stats.bootstrap(both, difference, **draws).confidence_interval
    row = next(row for row in read("comparisons") if row["language"] == "all")
    width = interval.high - interval.low
    assert float(row["cluster_low"]) == pytest.approx(interval.low, abs=width / 10)
    assert float(row["cluster_high"]) == pytest.approx(interval.high, abs=width / 10)
    page = (tmp_path / "report/report.html").read_text()
    assert f"Clusters of the bootstrap: {clusters} (" in page


def test_cluster_bootstrap_draws_within_languages(tmp_path):
    """Two languages of very different shares: the pool's interval has no variance between them."""
    en, _ = drawn(1, 0.9, prompts=400, languages=["en"], categories=40)
    lv, _ = drawn(2, 0.1, prompts=400, languages=["lv"], categories=40)
    read = report(tmp_path, {"base": (en + lv, None)})
    draw = numpy.random.default_rng(3)
    strata = [cluster_sums(rows, lambda row: row["category"]) for rows in (en, lv)]
    shares = []
    for _ in range(RESAMPLES):
        total = sum(stratum[draw.integers(0, len(stratum), len(stratum))].sum(0) for stratum in strata)
        shares.append(total[0] / total[1])
    low, high = numpy.quantile(shares, [0.025, 0.975])
    row = read("pooled")[0]
    assert float(row["cluster_low"]) == pytest.approx(low, abs=(high - low) / 10)
    assert float(row["cluster_high"]) == pytest.approx(high, abs=(high - low) / 10)


def test_the_seed_decides_the_draw(study, tmp_path):
    checkpoints, read = study
    again = report(tmp_path, checkpoints, "--seed", 7)
    changed = [(a["cluster_low"], b["cluster_low"]) for a, b in zip(read("pooled"), again("pooled"))]
    assert all(a != b and float(a) == pytest.approx(float(b), abs=0.02) for a, b in changed)
