"""README.md and docs/ as a forge shows them: links and anchors lead somewhere, tables and headings are whole, and
command lines have options that there are."""

import re
import shlex

import pytest

from docs_pages import DOCS, MADE_BY_PROGRAMS, PAGES, SOURCE, anchors, headings, table_rows, without_code

NAMES = [str(path.relative_to(SOURCE)) for path in PAGES]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def broken_links(page, text):
    """(line, target, why) of each link of a page that leads nowhere."""
    for number, line in enumerate(without_code(text).splitlines(), 1):
        for target in LINK.findall(line):
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            if re.match(r"[a-z]+:", target):
                yield number, target, "an address outside: nobody notices when it goes"
            elif not file.is_relative_to(SOURCE) or not file.exists():
                yield number, target, "there is no such file"
            elif anchor and anchor not in anchors(file.read_text() if file != page else text):
                yield number, target, "no heading of that page makes this anchor"


def faults_of_form(text):
    """What would not read well as Markdown."""
    levels = [level for level, _ in headings(text)]
    if levels[:1] != [1] or levels.count(1) != 1 or not text.startswith("# "):
        yield "does not begin with its one title"
    yield from (f"a heading of level {b} below one of level {a}" for a, b in zip(levels, levels[1:]) if b > a + 1)
    for block in re.findall(r"(?:^\|.*\n)+", text + "\n", flags=re.M):
        lines = block.splitlines()
        if len(lines) < 2 or not re.fullmatch(r"\|( ?:?-+:? ?\|)+", lines[1]):
            yield f"a table without its second line: {lines[0]}"
        widths = {len(row) for row in table_rows(block)} | {lines[1].count("|") - 1 if len(lines) > 1 else 0}
        if len(widths) != 1:
            yield f"a table whose rows have {sorted(widths)} cells: {lines[0]}"
    if text.count("\n```") % 2 or "\t" in text or re.search(r"<(?:br|p|div|img|a)\b", without_code(text)):
        yield "a code block that is not closed, a tab, or HTML"


@pytest.mark.parametrize("name", NAMES)
def test_links(name):
    text = (SOURCE / name).read_text()
    assert not list(broken_links(SOURCE / name, text))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "docs/options.md"])  # which has a part a program
def test_form(name):
    assert not list(faults_of_form((SOURCE / name).read_text()))


def test_the_index_has_every_page_once():
    linked = [target for target in LINK.findall((DOCS / "README.md").read_text()) if "/" not in target]
    assert sorted(linked) == sorted(path.name for path in PAGES if path.parent == DOCS and path.name != "README.md")


OPTIONS = {}  # of each program, with its subcommands' by "program subcommand"
for line in (DOCS / "options.md").read_text().splitlines():
    if match := re.fullmatch(r"##+ refrain-(.+)", line):
        OPTIONS.setdefault(match[1], {"help", "version", "config", "help-markdown"})
        last = match[1]
    elif match := re.match(r"\| `--([a-z0-9-]+)", line):
        OPTIONS[last].add(match[1])


def command_lines(text):
    """(line, words behind it) of every refrain-X in a page's code blocks, continued lines joined."""
    fenced = False
    blocks = []
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if fenced or line.startswith("    "):
            blocks.append(line)
    joined = re.sub(r"\\\n\s*", "", "\n".join(blocks))
    for line in joined.splitlines():
        for command in re.findall(r"(?:^|[ /])(refrain-[a-z]+ [^|;&)#]*)", line):
            yield command


def unknown_options(text):
    for command in command_lines(text):
        try:
            program, *words = shlex.split(command)
        except ValueError:
            continue  # a quoted line of a log
        program = program.removeprefix("refrain-")
        if words and f"{program} {words[0]}" in OPTIONS:
            program = f"{program} {words[0]}"
        if program in OPTIONS:
            yield from ((command.strip(), word) for word in words
                        if word.startswith("--") and word[2:].split("=")[0] not in OPTIONS[program])


@pytest.mark.parametrize("name", [name for name in NAMES if SOURCE / name not in MADE_BY_PROGRAMS])
def test_options_of_command_lines(name):
    assert not list(unknown_options((SOURCE / name).read_text()))


def test_the_checks_find_faults():
    page = DOCS / "data.md"
    text = "# A\n\n[a](nowhere.md) [b](files.md#no-such-heading) [c](#a) [d](files.md) `[e](f.md)`\n\n    [g](h.md)\n"
    assert [target for _, target, _ in broken_links(page, text)] == ["nowhere.md", "files.md#no-such-heading"]
    assert list(broken_links(page, "# A\n\n[a](../../outside.md)\n")) and list(broken_links(page, "# A\n\n[a](https://b.c)\n"))
    assert anchors("# The `final` label\n## Adding prompts, and samples\n## verdicts.v1\n## A\n## A\n") == [
        "the-final-label", "adding-prompts-and-samples", "verdictsv1", "a", "a-1"]
    for bad in ("## A\n", "# A\n# B\n", "# A\n\n### B\n", "# A\n\n| a | b |\n| --- | --- |\n| c |\n", "# A\n\n| a |\n| b |\n",
                "# A\n\n```\nb\n", "# A\n\n<br>\n"):
        assert list(faults_of_form(bad)), bad
    assert list(unknown_options("    mpirun -n 2 refrain-train --pears a.h5 \\\n        --plam\n")) == [
        ("refrain-train --pears a.h5 --plam", "--pears"), ("refrain-train --pears a.h5 --plam", "--plam")]
    assert not list(unknown_options("    refrain-report tensorboard --runs a --out b\n"))
