"""README.md and the pages of docs/, for the tests that hold them to the truth."""

import re

from refrain import SOURCE

DOCS = SOURCE / "docs"
PAGES = [SOURCE / "README.md", *sorted(DOCS.glob("*.md"))]
MADE_BY_PROGRAMS = {DOCS / "options.md", DOCS / "formats.md"}


def without_code(text):
    """A page's text, its code blocks (fenced or indented) and spans blanked out; line numbers stay."""
    lines, fenced = [], False
    for line in text.splitlines():
        fence = line.startswith("```")
        code = fenced or fence or line.startswith("    ")
        fenced ^= fence
        lines.append("" if code else re.sub(r"`[^`]*`", lambda span: "`" + "_" * (len(span[0]) - 2) + "`", line))
    return "\n".join(lines)


def headings(text):
    """(level, title) of each, marks and all."""
    found = []
    fenced = False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if match := None if fenced else re.match(r"(#{1,6}) (.+)", line):
            found.append((len(match[1]), match[2].strip()))
    return found


def anchors(text):
    """The anchors that a forge gives a page's headings: small letters, punctuation dropped, blanks as hyphens."""
    found = []
    for _, title in headings(text):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
        found.append(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-"))
    return [name if name not in found[:i] else f"{name}-{found[:i].count(name)}" for i, name in enumerate(found)]


def section(text, title):
    """What stands below a heading, its own headings included, up to the next of its level or above."""
    level = next(level for level, found in headings(text) if found == title)
    after = text.split(f"{'#' * level} {title}\n", 1)[1]
    return re.split(rf"^#{{1,{level}}} ", after, maxsplit=1, flags=re.M)[0]


def fenced(text, language):
    """Texts of the code blocks that are marked as of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


def table_rows(text):
    """Rows of all tables, as lists of cells; `\\|` is a bar within a cell."""
    rows = []
    for line in text.splitlines():
        if line.startswith("|") and not re.fullmatch(r"[|\- :]+", line):
            rows.append([cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]])
    return rows
