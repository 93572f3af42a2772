"""A table that grows by a row at a time, and survives being cut off."""

from __future__ import annotations

import csv
from pathlib import Path


def append_row(path: Path, row: dict[str, object]) -> None:
    """Add `row` to the table at `path`; columns that it did not have yet are empty in its earlier rows."""
    columns = _columns(path)
    if columns != list(row) and columns:
        _write(path, [*columns, *(name for name in row if name not in columns)], read_rows(path))
        columns = _columns(path)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns or list(row))
        if not columns:
            writer.writeheader()
        writer.writerow(row)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the complete rows of the table; one whose writing was cut off is left out."""
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]


def drop_rows_after(path: Path, step: int) -> None:
    """Keep the rows up to `step`: a killed run has logged steps that its checkpoint does not know."""
    if columns := _columns(path):
        _write(path, columns, [row for row in read_rows(path) if int(row["step"]) <= step])


def _columns(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


def _write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    temporary = path.with_name(f".{path.name}.partial")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)
