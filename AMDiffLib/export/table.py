"""The measurements as one CSV table for spreadsheets."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from AMDiffLib.export.trust import removed_hot_spots
from AMDiffLib.quantification.column_definitions import COLUMNS, NOTICE

_KINDS = {"lesions": "lesion", "total": "total", "organs": "organ", "references": "reference"}


def write_table(path: Path, measurements: dict[str, Any], report: dict[str, Any]) -> None:
    """Write the content of measurements.json, a row per lesion, total, organ and reference region.

    Rows of hot spots that the output removed follow, from the content of report.json. Every row says that it
    is not for diagnosis, because rows are copied out of tables; columns that hold nothing are left out.
    Encoded so that Excel knows it as UTF-8.
    """
    rows = []
    for key, kind in _KINDS.items():
        found = measurements.get(key) or []
        rows += [
            {"kind": kind, **row, "notice": NOTICE} for row in (found if isinstance(found, list) else [found])
        ]
    rows += [{"kind": "removed hot spot", **spot, "notice": NOTICE} for spot in removed_hot_spots(report)]
    columns = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, fieldnames=columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({name: _cell(row.get(name)) for name in columns} for row in rows)


def _cell(value: object) -> object:
    """Six significant digits: finer than any of these quantities can be measured."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value
