"""The outcome of an evaluation as CSV and JSON files."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from AMDiffLib.evaluation.groups import Group
from AMDiffLib.evaluation.scores import DEFINITIONS, Score
from AMDiffLib.evaluation.summary import Evaluation

FORMAT, VERSION = "amdiff-evaluation", 3
_POOLED = "all"


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Write every figure of every case, one a row; an undefined one is an empty cell."""
    names = [field.name for field in dataclasses.fields(Score)]
    _write(path, names, (list(dataclasses.astuple(score)) for score in scores))


def write_tables(folder: Path, evaluation: Evaluation) -> list[str]:
    """Write summary.csv, comparison.csv, sensitivity.csv and agreement.csv; returns their names.

    Counts and scanner are "all" where they are pooled.
    """
    tables = {
        "summary.csv": evaluation.summaries.values(),
        "comparison.csv": evaluation.comparisons,
        "sensitivity.csv": evaluation.sensitivities,
        "agreement.csv": evaluation.agreements,
    }
    for name, rows in tables.items():
        flat = [dict(_flat(row)) for row in rows]
        _write(folder / name, list(flat[0]) if flat else [], (list(row.values()) for row in flat))
    return list(tables)


def write_json(path: Path, evaluation: Evaluation, *, run: dict[str, Any]) -> None:
    """Write all tables with their definitions and `run`, the facts about model, software and data."""

    def rows(table: Iterable[object]) -> list[dict[str, object]]:
        return [{name: _or_null(value) for name, value in _flat(row)} for row in table]

    content = {
        "format": FORMAT,
        "version": VERSION,
        "run": run,
        "definitions": DEFINITIONS,
        "summary": rows(evaluation.summaries.values()),
        "comparison": rows(evaluation.comparisons),
        "sensitivity": rows(evaluation.sensitivities),
        "agreement": rows(evaluation.agreements),
    }
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _flat(row: object) -> Iterator[tuple[str, object]]:
    """Columns of a row: group and figure side by side, intervals as two columns, strengths as one text."""
    for field in dataclasses.fields(row):
        value = getattr(row, field.name)
        if isinstance(value, Group):
            yield "counts_percent", _POOLED if value.counts_percent is None else value.counts_percent
            yield "scanner", value.scanner or _POOLED
        elif dataclasses.is_dataclass(value):
            yield from _flat(value)
        elif field.name.endswith("interval"):
            stem = field.name.removesuffix("interval")
            yield f"{stem}low_95", value[0]
            yield f"{stem}high_95", value[1]
        elif field.name == "strengths":
            yield field.name, " ".join(f"{strength:g}" for strength in value)
        else:
            yield field.name, value


def _write(path: Path, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.8g}" if math.isfinite(value) else ""
    return value


def _or_null(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
