import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "helpers"))


def pytest_terminal_summary(terminalreporter):
    lines = getattr(sys.modules.get("refrain"), "LINES", ())
    if lines:
        terminalreporter.write_line(f"{len(lines)} bad inputs ended with their exact line")
