"""A report as a list of blocks, written as Markdown or as plain text; `html_page` writes it as HTML.

Text and cells may carry **bold**, *italic* and `code`, as in Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_MARKS = re.compile(r"(\*\*|\*|`)(.+?)\1")


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A title; level 1 is that of the document."""

    text: str
    level: int = 2


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns' titles and rows of cells; the first column says what a row is about."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A PNG file and what it shows."""

    path: Path
    caption: str


@dataclass(frozen=True, kw_only=True)
class Commands:
    """Lines for a terminal."""

    lines: tuple[str, ...]


Block = Heading | Table | Picture | Commands | str


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table; ValueError names a row that has not as many cells as there are columns."""
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"the row of {row[0]!r} has {len(row)} cells, the table {len(head)} columns")
    return Table(
        head=tuple(cell.strip() for cell in head),
        rows=tuple(tuple(cell.strip() for cell in row) for row in rows),
    )


def as_markdown(blocks: Sequence[Block]) -> str:
    """Return the blocks as Markdown; pictures as links to the file names."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def as_text(found: Table) -> str:
    """Return a table as aligned columns of plain text."""
    rows = [tuple(plain(cell) for cell in row) for row in (found.head, *found.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(found.head))]
    return "\n".join(
        "  "
        + row[0].ljust(widths[0])
        + "".join(f"  {cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )


def plain(text: str) -> str:
    """Return a text without its marks of bold, italic and code."""
    return _MARKS.sub(r"\2", text)


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Table):
        lines = (block.head, ("---",) * len(block.head), *block.rows)
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    if isinstance(block, Picture):
        return f"![{block.caption}]({block.path.name})"
    if isinstance(block, Commands):
        return "\n".join(f"    {line}" for line in block.lines)
    return block
