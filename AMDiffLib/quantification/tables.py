"""Measurements as one tidy CSV table and as JSON, with units in the names."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from AMDiffLib.quantification.measurements import LesionMeasurement, Measurements, OrganMeasurement

COLUMNS = {
    "kind": "lesion, total (all lesions together) or organ",
    "name": "name of the segment that was measured",
    "label": "lesion number, or the organ's label value",
    "location": "organ that holds most of the lesion, or the nearest organ; unknown where none was found",
    "location_distance_mm": "0 inside that organ, else shortest distance between voxel centres",
    "location_inside_percent": "share of the lesion's voxels inside that organ",
    "lesion_count": "number of lesions",
    "suv_max_g_per_ml": "largest SUVbw of a voxel",
    "suv_mean_g_per_ml": "mean SUVbw of the voxels",
    "suv_peak_g_per_ml": "largest mean SUVbw in a 1 mL sphere (radius 6.2 mm) centred on any voxel of the "
    "lesion, voxels cut by its surface counted by the share inside",
    "mtv_ml": "metabolic tumour volume: volume of the lesion's voxels",
    "tlg_g": "total lesion glycolysis: SUVmean x MTV",
    "volume_ml": "volume of the organ's voxels; voxels of lesions are left out of all organ values",
    "centroid_l_mm": "mean voxel position, towards the patient's left (LPS)",
    "centroid_p_mm": "mean voxel position, towards posterior (LPS)",
    "centroid_s_mm": "mean voxel position, towards superior (LPS)",
    "centroid_i": "mean voxel index along the first axis (fastest in memory), from 0",
    "centroid_j": "mean voxel index along the second axis, from 0",
    "centroid_k": "mean voxel index along the third axis (slices), from 0",
}


def rows(measurements: Measurements) -> list[dict]:
    """Return one dictionary a row, of the `COLUMNS` that apply: lesions, then the total, then organs."""
    total = measurements.total
    return [
        *(_lesion_row(lesion) for lesion in measurements.lesions),
        {
            "kind": "total",
            "name": "All lesions",
            "lesion_count": total.lesion_count,
            "suv_max_g_per_ml": total.suv_max,
            "suv_mean_g_per_ml": total.suv_mean,
            "suv_peak_g_per_ml": total.suv_peak,
            "mtv_ml": total.mtv_ml,
            "tlg_g": total.tlg_g,
        },
        *(_organ_row(organ) for organ in measurements.organs),
    ]


def write_csv(path: str | Path, measurements: Measurements) -> None:
    """Write one row per lesion, total and organ; what does not apply or was not found is an empty cell."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(COLUMNS), restval="")
        writer.writeheader()
        for row in rows(measurements):
            writer.writerow({key: _cell(value) for key, value in row.items()})


def write_json(path: str | Path, measurements: Measurements) -> None:
    """Write the same values as the CSV at full precision, with each name's definition."""
    lines = rows(measurements)
    content = {
        "format": "amdiff-measurements",
        "version": 1,
        "definitions": {name: text for name, text in COLUMNS.items() if name != "kind"},
        "lesions": _of_kind(lines, "lesion"),
        "total": _of_kind(lines, "total")[0],
        "organs": _of_kind(lines, "organ"),
    }
    Path(path).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _of_kind(lines: list[dict], kind: str) -> list[dict]:
    wanted = [row for row in lines if row["kind"] == kind]
    return [{key: value for key, value in row.items() if key != "kind"} for row in wanted]


def _cell(value: object) -> object:
    """Six significant digits: finer than any of these quantities can be measured, and readable."""
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value


def _lesion_row(lesion: LesionMeasurement) -> dict:
    return {
        "kind": "lesion",
        "name": f"Lesion {lesion.number}",
        "label": lesion.number,
        "location": lesion.location.organ,
        "location_distance_mm": lesion.location.distance_mm,
        "location_inside_percent": lesion.location.inside_percent,
        "suv_max_g_per_ml": lesion.suv_max,
        "suv_mean_g_per_ml": lesion.suv_mean,
        "suv_peak_g_per_ml": lesion.suv_peak,
        "mtv_ml": lesion.mtv_ml,
        "tlg_g": lesion.tlg_g,
        **dict(zip(("centroid_l_mm", "centroid_p_mm", "centroid_s_mm"), lesion.centroid_lps_mm, strict=True)),
        **dict(zip(("centroid_i", "centroid_j", "centroid_k"), lesion.centroid_index, strict=True)),
    }


def _organ_row(organ: OrganMeasurement) -> dict:
    return {
        "kind": "organ",
        "name": organ.name,
        "label": organ.label,
        "suv_max_g_per_ml": organ.suv_max,
        "suv_mean_g_per_ml": organ.suv_mean,
        "volume_ml": organ.volume_ml,
    }
