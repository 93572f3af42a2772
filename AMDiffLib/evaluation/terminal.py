"""The main figures of an evaluation as text for a terminal: tables of the report."""

from __future__ import annotations

from AMDiffLib.evaluation import segment_tables
from AMDiffLib.evaluation.document import Table, as_text
from AMDiffLib.evaluation.image_tables import denoising_table
from AMDiffLib.evaluation.summary import Evaluation


def summary_text(evaluation: Evaluation) -> str:
    """Return NRMSE, Dice, lesions and their burden, all count levels and scanners together."""
    pooled = evaluation.groups[0]
    tables = {
        f"NRMSE (by range) against the high-count image, {pooled.name}": denoising_table(evaluation, pooled),
        "Dice": segment_tables.overlap_table(evaluation, pooled),
        "Lesions": _turned(segment_tables.lesion_table(evaluation)),
        "Tumour burden": segment_tables.burden_table(evaluation),
    }
    return "\n\n".join(f"{name}\n{as_text(_ours(found))}" for name, found in tables.items()) + "\n"


def _ours(found: Table) -> Table:
    """The table without the paper's columns, which need their explanation."""
    kept = [number for number, title in enumerate(found.head) if not title.startswith("*paper")]
    return Table(
        head=tuple(found.head[number] for number in kept),
        rows=tuple(tuple(row[number] for number in kept) for row in found.rows),
    )


def _turned(found: Table) -> Table:
    """Rows as columns: eight columns of lesions would not fit a terminal."""
    columns = list(zip(found.head, *found.rows, strict=True))
    return Table(head=columns[0], rows=tuple(columns[1:]))
