"""The README says what is there: its links lead somewhere, and the commands have the options it names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    path.relative_to(REPOSITORY).as_posix()
    for pages in ("*.md", "Testing/*.md", "Resources/**/*.md")
    for path in sorted(REPOSITORY.glob(pages))
]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"python -m (AMDiffLib\.\w+)((?:[^\n`]|\\\n)*)", README)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_and_picture_leads_to_a_file(document):
    path = REPOSITORY / document
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for target in targets:
        if not target.startswith("https://"):
            assert (path.parent / target).is_file(), target


@pytest.mark.parametrize("module", sorted({module for module, _rest in COMMANDS}))
def test_every_option_of_a_command_exists(module):
    help_text = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    named = {option for name, rest in COMMANDS if name == module for option in re.findall(r"--[a-z-]+", rest)}
    assert named <= set(re.findall(r"--[a-z-]+", help_text))


def test_the_folders_of_the_library_are_listed():
    row = next(line for line in README.splitlines() if line.startswith("| `AMDiffLib/` |"))
    folders = {path.parent.name for path in (REPOSITORY / "AMDiffLib").glob("*/__init__.py")}
    assert set(re.findall(r"`(\w+)`", row)) == folders


def test_it_is_short_enough_to_be_read():
    assert len(README.splitlines()) < 260
