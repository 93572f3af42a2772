"""The table of a batch: one row a study, rewritten whole after each of them."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from AMDiffLib.batch.record import read_json

WAITING, DONE, UNCHANGED, FAILED, CANCELLED = "waiting", "done", "unchanged", "failed", "cancelled"


@dataclass(kw_only=True)
class Row:
    """How one study went.

    status: waiting (not begun), done, unchanged (finished by an earlier batch with the same input, model and
    options), failed, cancelled. seconds: of this batch's work on it. lesions, tmtv_ml (total metabolic tumour
    volume) and tlg_g (total lesion glycolysis): of its measurements, on the denoised volume.
    """

    study: str
    results: str
    status: str = WAITING
    seconds: float | None = None
    lesions: int | None = None
    tmtv_ml: float | None = None
    tlg_g: float | None = None
    warnings: list[str] = field(default_factory=list)
    error_kind: str | None = None
    error: str | None = None

    def take_results(self, folder: Path) -> None:
        """Fill in what the finished results in `folder` say."""
        total = (read_json(folder / "measurements.json") or {}).get("total", {})
        self.lesions = total.get("lesion_count")
        self.tmtv_ml, self.tlg_g = total.get("mtv_ml"), total.get("tlg_g")
        self.warnings = list((read_json(folder / "report.json") or {}).get("warnings", []))


COLUMNS = tuple(column.name for column in fields(Row))


def write_summary(path: Path, rows: Sequence[Row]) -> None:
    """Write the table as CSV (UTF-8); the old one is replaced in one step, so that a reader sees either."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in rows:
                writer.writerow([_cell(getattr(row, name)) for name in COLUMNS])
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " | ".join(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value).replace("\n", " ")
