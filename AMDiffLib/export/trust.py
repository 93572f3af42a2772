"""What results say of how far they can be trusted, in words that leave the program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from AMDiffLib.quantification.column_definitions import INTERVALS

_COLUMNS = {
    "suv_max_g_per_ml": "suv_max",
    "suv_mean_g_per_ml": "suv_mean",
    "suv_peak_g_per_ml": "suv_peak",
    "mtv_ml": "mtv_ml",
    "tlg_g": "tlg_g",
}
_REFERENCES = {"high_count": "the image of the full scan time", "truth": "the true activity"}


def interval_of(row: Mapping[str, Any], column: str) -> tuple[float, float] | None:
    """Return the ends of the 90 % interval of a column's value; None where it has none."""
    names = INTERVALS.get(_COLUMNS.get(column, ""))
    ends = [row.get(name) for name in names or ()]
    return (ends[0], ends[1]) if ends and None not in ends else None


def interval_sentence(report: Mapping[str, Any]) -> str:
    """Return what the intervals of a result cover, and what not; empty where it has none."""
    intervals = (report.get("uncertainty") or {}).get("intervals")
    if not intervals:
        return ""
    reference = _REFERENCES.get(intervals["reference"], intervals["reference"])
    return (
        f"Ranges are {100 * intervals['confidence']:.0f} % intervals of the value in {reference}, found on "
        "simulated PET for outlines that the model drew. They hold for true lesions; false lesions, and "
        "scans unlike the simulated ones, are not covered."
    )


def count_check_sentence(row: Mapping[str, Any]) -> str:
    """Return what the count check has against a lesion; empty where it has nothing, or was not made."""
    if not row.get("count_check"):
        return ""
    return f"{row['name']}: {row['count_check']} (z {row['count_z']:+.1f})"


def removed_hot_spots(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the hot spots of the low-count input that the output removed, named, by column."""
    found = (report.get("count_consistency") or {}).get("removed_hot_spots") or []
    return [{"name": f"Removed {number}", **spot} for number, spot in enumerate(found, start=1)]
