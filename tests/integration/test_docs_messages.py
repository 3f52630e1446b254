"""Every message that the pages' tables of messages quote stands in the code."""

import re

import pytest

from docs_pages import DOCS, SOURCE, section, table_rows

CXX_LITERAL = r'"((?:[^"\\\n]|\\.)*)"'
SHORTEST = 8  # letters of a message's longest fixed part: fewer would be found anywhere


def statements_of_cxx(text):
    """The string literals of each statement; neighbours are one, what printf fills in is an ellipsis."""
    text = re.sub(r'"[ \t]*\n[ \t]*"', "", text).replace('system_error("', 'system_error("cannot ')  # which says that itself
    literals = []
    for token in re.finditer(rf"//[^\n]*|{CXX_LITERAL}|'(?:[^'\\]|\\.)'|;", text):
        if token[0] == ";":
            yield literals
            literals = []
        elif token[1] is not None:
            plain = re.sub(r"\\(.)", r"\1", token[1])
            literals.append(re.sub(r"%[-0-9.]*[lz]*[a-z]", "…", plain))
    yield literals


def statements_of_shell(text):
    """What each line says in double quotes, variables as ellipses."""
    for line in text.splitlines():
        yield [re.sub(r"\$\{[^}]*\}|\$\w+", "…", literal) for literal in re.findall(CXX_LITERAL, line)]


@pytest.fixture(scope="module")
def statements():
    found = []
    for folder in ("src", "include"):
        for path in (SOURCE / folder).rglob("*.[ch]pp"):
            found += statements_of_cxx(path.read_text())
    for path in [*(SOURCE / "env").glob("*.sh"), *(SOURCE / "slurm").glob("*.sh")]:
        found += statements_of_shell(path.read_text())
    return [literals for literals in found if literals]


def parts(message):
    """What is between ellipses, numbers and N, which stand for what varies."""
    return [part.strip() for part in re.split(r"…|\.\.\.|\b\d+(?:_\d+)?\b|\bN\b", message) if re.search(r"\w", part)]


def is_said(message, statements):
    """Whether one statement has all fixed parts of the message."""
    wanted = parts(message)
    return any(all(any(part in literal for literal in literals) for part in wanted) for literals in statements)


def quoted(page, within=None):
    """The messages in the first cells of a page's tables of messages, as (message, line of the table)."""
    text = (DOCS / page).read_text()
    tables = re.findall(r"^\| (?:message|line) \|.*\n(?:\|.*\n)+", section(text, within) if within else text, flags=re.M)
    rows = [row for table in tables for row in table_rows(table)[1:]]
    for cells in rows:
        match = re.fullmatch(r"`([^`]+)`", cells[0])
        assert match and len(cells) == 2 and cells[1], f"{page}: not a message in backticks and what to do: {cells}"
        # The doctor's lines begin with a word on the subject's health, and the subject.
        yield re.sub(r"^(?:broken|warning) +[\w-]+: ", "", match[1])


MESSAGES = [("troubleshooting.md", message) for message in quoted("troubleshooting.md")]
MESSAGES += [(page, message) for page in ("cluster.md", "sweeps.md") for message in quoted(page, "When something goes wrong")]
MESSAGES += [("doctor.md", message) for message in quoted("doctor.md")]


def test_enough_are_quoted_and_none_twice():
    assert sum(page == "troubleshooting.md" for page, _ in MESSAGES) >= 30
    assert len(set(MESSAGES)) == len(MESSAGES)


def test_each_message_stands_in_the_code(statements):
    wrong = [f"{page}: {message}" for page, message in MESSAGES if not is_said(message, statements)]
    assert not wrong, "\n".join(["not said by any program (… stands for what varies):", *wrong])


def test_each_message_says_enough_to_be_found():
    vague = [message for _, message in MESSAGES if max(map(len, parts(message))) < SHORTEST]
    assert vague == ["… is … at step …"]  # of training: the loss or the gradient's norm


def test_the_check_finds_faults(statements):
    assert is_said("there is no sweep '…'", statements)
    assert not is_said("there is no swoop '…'", statements)
    assert is_said("job 16_3 has fewer CPUs than its 4 tasks on a node", statements)
    # Fixed parts that are said, but not together.
    assert is_said("the file has no rows", statements) and is_said("the file is one JSON array", statements)
    assert not is_said("the file has no rows … the file is one JSON array", statements)
