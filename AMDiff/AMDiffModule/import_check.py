"""That what has come into the scene is what the job has measured: segment by segment, in both volumes."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from .measuring_library import quantification
from .scene_measurement import measure_scene
from .translation import _

# The files hold six digits.
_SAME = 1e-4
# The scene's copy of a DICOM series differs from the job's SUV by rounding to stored values.
_SAME_LOW_COUNT = 5e-3
_DENOISED_COLUMNS = (
    "mtv_ml",
    "volume_ml",
    "suv_max_g_per_ml",
    "suv_mean_g_per_ml",
    # Of the uncertainty map too.
    "suv_mean_low_g_per_ml",
    "suv_mean_high_g_per_ml",
)
_LOW_COUNT_COLUMN = "low_count_suv_mean_g_per_ml"


def check_against_job(nodes, measurements_csv: Path) -> tuple[str, bool]:
    """Measure the scene and hold it against the job's table.

    Returns:
        What differs between the denoised volume or the segments here and there, in words, empty when nothing
        does; and whether the low-count volume agrees.
    """
    with measurements_csv.open(newline="", encoding="utf-8") as file:
        there = {(row["kind"], row["name"]): row for row in csv.DictReader(file)}
    rows = quantification("tables").text_rows(*measure_scene(nodes))
    here = {(row["kind"], row["name"]): row for row in rows}
    low_count_agrees = True
    for key, job_row in there.items():
        scene_row = here.get(key, {})
        for column in _DENOISED_COLUMNS:
            if not _agree(job_row.get(column), scene_row.get(column), _SAME):
                text = _("'{name}': {column} is {here} in the scene and {there} in the job's table.")
                return (
                    text.format(
                        name=key[1], column=column, here=scene_row.get(column), there=job_row.get(column)
                    ),
                    False,
                )
        if not _agree(job_row.get(_LOW_COUNT_COLUMN), scene_row.get(_LOW_COUNT_COLUMN), _SAME_LOW_COUNT):
            low_count_agrees = False
    return "", low_count_agrees


def _agree(there: str | None, here: str | None, tolerance: float) -> bool:
    """Return whether two cells are equal; a cell that the job has left empty says nothing."""
    if not there:
        return True
    return bool(here) and math.isclose(float(there), float(here), rel_tol=tolerance, abs_tol=1e-9)
