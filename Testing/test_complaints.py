"""The table of complaints in Testing/README.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTING = Path(__file__).resolve().parent
ROWS = [
    line
    for line in (TESTING / "README.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d+ \|", line)
]


def test_there_are_twelve_complaints_each_with_an_answer_and_a_test():
    assert [int(row.split("|")[1]) for row in ROWS] == list(range(1, 13))
    for row in ROWS:
        complaint, answer, shown_by = (cell.strip() for cell in row.split("|")[2:5])
        assert complaint and answer
        assert re.fullmatch(r"(`test_\w+\.py::test_\w+` ?)+", shown_by)


def test_every_test_that_is_named_exists():
    for file, function in re.findall(r"`(test_\w+\.py)::(test_\w+)`", "\n".join(ROWS)):
        tree = ast.parse((TESTING / file).read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, function
