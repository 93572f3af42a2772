"""Measurements as one tidy CSV table and as JSON, with units in the names."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from AMDiffLib.quantification.column_definitions import COLUMNS, INTERVALS, LOW_COUNT, NOTICE, UPTAKE
from AMDiffLib.quantification.count_consistency import count_check
from AMDiffLib.quantification.reference_regions import DEFINITIONS as REFERENCE_DEFINITIONS

if TYPE_CHECKING:
    from AMDiffLib.quantification.measured import Interval, LesionMeasurement, Measurements


def rows(measurements: Measurements, low_count: Measurements | None = None) -> list[dict]:
    """Return one dictionary a row, of the `COLUMNS` that apply: lesions, the total, organs, references.

    `low_count` holds the same lesions and organs, measured in the low-count input.

    Raises:
        ValueError: the two are not of the same lesions.
    """
    found = _rows(measurements)
    if low_count is not None:
        beside = _rows(low_count)
        if [row["name"] for row in beside] != [row["name"] for row in found]:
            raise ValueError("the low-count and the denoised measurements are not of the same lesions")
        for row, other in zip(found, beside, strict=True):
            row |= {LOW_COUNT + key: value for key, value in other.items() if key in UPTAKE}
    for row in found:
        row["notice"] = NOTICE
    return found


def _interval_cells(intervals: Mapping[str, Interval]) -> dict[str, float]:
    return {
        column: end
        for quantity, interval in intervals.items()
        for column, end in zip(INTERVALS[quantity], (interval.low, interval.high), strict=True)
    }


def text_rows(measurements: Measurements, low_count: Measurements | None = None) -> list[dict[str, str]]:
    """Return the rows as they stand in the CSV: every column, what does not apply or was not found empty."""
    return [{name: _cell(row.get(name)) for name in COLUMNS} for row in rows(measurements, low_count)]


def write_csv(path: str | Path, measurements: Measurements, low_count: Measurements | None = None) -> None:
    """Write one row per lesion, total, organ and reference region."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(COLUMNS))
        writer.writeheader()
        writer.writerows(text_rows(measurements, low_count))


def write_json(path: str | Path, measurements: Measurements, low_count: Measurements | None = None) -> None:
    """Write the same values as the CSV at full precision, with each name's definition."""
    lines = rows(measurements, low_count)
    content = {
        "format": "amdiff-measurements",
        "version": 2,
        "notice": NOTICE,
        "definitions": {name: text for name, text in COLUMNS.items() if name not in ("kind", "notice")},
        "reference_regions": REFERENCE_DEFINITIONS,
        "remarks": list(measurements.remarks),
        "lesions": _of_kind(lines, "lesion"),
        "total": _of_kind(lines, "total")[0],
        "organs": _of_kind(lines, "organ"),
        "references": _of_kind(lines, "reference"),
    }
    Path(path).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _of_kind(lines: list[dict], kind: str) -> list[dict]:
    wanted = [row for row in lines if row["kind"] == kind]
    return [{key: value for key, value in row.items() if key not in ("kind", "notice")} for row in wanted]


def _cell(value: object) -> str:
    """Six significant digits: finer than any of these quantities can be measured, and readable."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _rows(measurements: Measurements) -> list[dict]:
    total = measurements.total
    return [
        *(_lesion_row(lesion) for lesion in measurements.lesions),
        {
            "kind": "total",
            "name": "All lesions",
            "lesion_count": total.lesion_count,
            "rejected_count": total.rejected_count,
            "suv_max_g_per_ml": total.suv_max,
            "suv_mean_g_per_ml": total.suv_mean,
            "suv_peak_g_per_ml": total.suv_peak,
            "mtv_ml": total.mtv_ml,
            "tlg_g": total.tlg_g,
            "mtv_suv_4_ml": total.mtv_suv_4_ml,
            "tlg_suv_4_g": total.tlg_suv_4_g,
            "mtv_41_percent_ml": total.mtv_41_percent_ml,
            "tlg_41_percent_g": total.tlg_41_percent_g,
            "deauville_score": total.deauville,
            "sul_peak_g_per_ml": total.sul_peak,
            "percist_threshold_sul_g_per_ml": total.percist_threshold_sul,
            **_interval_cells(total.intervals),
        },
        *(
            {
                "kind": "organ",
                "name": organ.name,
                "label": organ.label,
                "suv_max_g_per_ml": organ.suv_max,
                "suv_mean_g_per_ml": organ.suv_mean,
                "volume_ml": organ.volume_ml,
                **_interval_cells(organ.intervals),
            }
            for organ in measurements.organs
        ),
        *(
            {
                "kind": "reference",
                "name": region.name,
                "suv_max_g_per_ml": region.suv_max,
                "suv_mean_g_per_ml": region.suv_mean,
                "suv_sd_g_per_ml": region.suv_sd,
                "volume_ml": region.volume_ml,
            }
            for region in measurements.references
        ),
    ]


def _lesion_row(lesion: LesionMeasurement) -> dict:
    return {
        "kind": "lesion",
        "name": lesion.name,
        "label": lesion.number,
        "status": "accepted" if lesion.rejected_as is None else "rejected",
        "rejected_as": lesion.rejected_as,
        "location": lesion.location.organ,
        "location_distance_mm": lesion.location.distance_mm,
        "location_inside_percent": lesion.location.inside_percent,
        "suv_max_g_per_ml": lesion.suv_max,
        "suv_mean_g_per_ml": lesion.suv_mean,
        "suv_peak_g_per_ml": lesion.suv_peak,
        "mtv_ml": lesion.mtv_ml,
        "tlg_g": lesion.tlg_g,
        "mtv_suv_4_ml": lesion.mtv_suv_4_ml,
        "tlg_suv_4_g": lesion.tlg_suv_4_g,
        "mtv_41_percent_ml": lesion.mtv_41_percent_ml,
        "tlg_41_percent_g": lesion.tlg_41_percent_g,
        "suv_max_to_liver_ratio": lesion.suv_max_to_liver,
        "suv_max_to_blood_pool_ratio": lesion.suv_max_to_blood_pool,
        "deauville_score": lesion.deauville,
        "sul_peak_g_per_ml": lesion.sul_peak,
        "percist_measurable": lesion.percist_measurable,
        **_interval_cells(lesion.intervals),
        "count_z": lesion.count_z,
        "count_check": None if lesion.count_z is None else count_check(lesion.count_z),
        **dict(zip(("centroid_l_mm", "centroid_p_mm", "centroid_s_mm"), lesion.centroid_lps_mm, strict=True)),
        **dict(zip(("centroid_i", "centroid_j", "centroid_k"), lesion.centroid_index, strict=True)),
    }
