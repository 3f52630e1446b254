"""report.html as a reader meets it: structure for screen readers, and headless Chromium at the widths of a desk and of a
phone."""

import html.parser
import re

import pytest

from refrain import run
from run_folders import write_run
from small_browser import Browser, chromium
from verdict_files import drawn, write_verdicts

NAMES = ["base", "english-only", "balanced", "high-resource", "no-english", "de", "fr", "lv"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    for seed, name in enumerate(NAMES):
        write_verdicts(folder / f"{name}.h5", *drawn(seed, 0.6 / (1 + seed), prompts=10))
    training = write_run(folder / "runs/balanced")
    run("report", "--verdicts", *(f"{name}={folder / name}.h5" for name in NAMES), "--runs", training, "--out",
        folder / "report")
    return folder / "report"


class Page(html.parser.HTMLParser):
    """Tags with their attributes, in order; fails on tags that do not close."""

    VOID = {"meta", "link", "br", "img", "hr", "input"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def test_structure(report):
    text = (report / "report.html").read_text()
    page = Page(text)
    assert page.all("html") == [{"lang": "en"}] and len(page.all("h1")) == 1 and len(page.all("main")) == 1
    assert not page.all("script") and not page.all("img")
    assert all(link["href"] == "data:," for link in page.all("link"))
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for name in attributes.get("aria-labelledby", "").split():
            assert name in ids, name
        target = attributes.get("href", "")
        if target.startswith("#"):
            assert target[1:] in ids
        elif target and target != "data:,":
            assert (report / target).is_file(), target
    assert page.all("a")[0] == {"class": "skip", "href": "#content"}
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) > 10
    assert all(figure["role"] == "img" for figure in page.all("svg"))
    assert len(page.all("desc")) == len(page.all("svg")) == 4
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(later - earlier <= 1 for earlier, later in zip(levels, levels[1:]))


def test_languages_no_guard_was_made_for(report):
    text = (report / "report.html").read_text()
    for name in ("Slovak (sk)", "Slovenian (sl)", "Lithuanian (lt)", "Latvian (lv)"):
        assert f"{name} \u2020" in text
    assert "Polish (pl) \u2020" not in text and "none of these safety judges was made for the language" in text


def luminance(color):
    channels = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_contrast(report):
    """Text of the page, and of the figures on what lies behind it: 4.5 : 1 at least."""
    text = (report / "report.html").read_text()
    for color in re.findall(r"[^-]color: (#[0-9a-f]{6})", text):
        assert contrast(color, "#ffffff") >= 4.5, color
    heat = (report / "transfer.svg").read_text()
    cells = re.findall(r'<polygon [^>]*fill="(#\w{6})"/>\n<text [^>]*fill="(#\w{6})"', heat)
    assert len(cells) > 12
    assert all(contrast(*cell) >= 4.5 for cell in cells), min(cells, key=lambda cell: contrast(*cell))


@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser(report, width, tmp_path):
    with Browser(chromium(), width, 900, tmp_path) as browser:
        problems = browser.open((report / "report.html").as_uri())
        assert problems == []
        measured = browser.evaluate("""(() => {
          const seen = [...document.querySelectorAll('body *')].filter(e => e.getClientRects().length);
          const inside = e => e.closest('.scroll') || e.closest('svg') || e.closest('.skip');
          return {scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth,
                  over: seen.filter(e => !inside(e) && e.getBoundingClientRect().right > innerWidth + 1)
                            .map(e => e.tagName + ' ' + e.textContent.slice(0, 40)),
                  height: document.documentElement.scrollHeight,
                  small: seen.filter(e => e.tagName == 'P' && parseFloat(getComputedStyle(e).fontSize) < 13).length};
        })()""")
        assert measured["client"] == width and measured["scroll"] <= width and measured["over"] == []
        assert measured["small"] == 0
        picture = browser.screenshot(tmp_path / f"report-{width}.png")
        assert picture.stat().st_size > 20_000
