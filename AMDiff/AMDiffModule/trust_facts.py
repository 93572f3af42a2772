"""What a result says of how far it can be trusted: its intervals, what it removed, its warnings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .measuring_library import quantification
from .result_report import report_of
from .translation import _

_BY_HAND_ATTRIBUTE = "AMDiff.drawnByHand"


@dataclass(frozen=True, kw_only=True)
class HotSpot:
    """A hot spot of the low-count input that the denoised volume lacks; SUV in g/mL, place in mm RAS."""

    number: int
    ras: tuple[float, float, float]
    volume_ml: float
    low_count_suv_max: float
    denoised_suv_max: float
    z: float


def calibration_of(report: dict):
    """Return the constants of the result's intervals (AMDiffLib Calibration); None where it has none.

    Raises ValueError where they are damaged.
    """
    found = (report.get("uncertainty") or {}).get("calibration")
    return None if found is None else quantification("calibration").Calibration.from_dict(found)


def sizes_calibrated_ml(calibration) -> tuple[float, float]:
    """Return the volumes of the smallest and the largest lesion that SUVmax intervals were found with."""
    names = quantification("intervals")
    model = calibration.model_of(names.calibrated_name(names.LESION, "suv_max"))
    return math.exp(model.lowest[0]), math.exp(model.highest[0])


def warnings_of(denoised_node) -> list[str]:
    """Return what the job warned of: a scan unlike those that the model was trained on, and the like."""
    return list(report_of(denoised_node).get("warnings") or [])


def removed_hot_spots(denoised_node) -> list[HotSpot]:
    """Return the hot spots of the low-count input that the denoised volume lacks, as the job found them."""
    spots = (report_of(denoised_node).get("count_consistency") or {}).get("removed_hot_spots") or []
    return [
        HotSpot(
            number=number,
            ras=(-spot["centroid_l_mm"], -spot["centroid_p_mm"], spot["centroid_s_mm"]),
            volume_ml=spot["volume_ml"],
            low_count_suv_max=spot["low_count_suv_max_g_per_ml"],
            denoised_suv_max=spot["suv_max_g_per_ml"],
            z=spot["count_z"],
        )
        for number, spot in enumerate(spots, start=1)
    ]


def unsupported_lesions(table_node) -> list[tuple[int, str]]:
    """Return row and name of the accepted lesions that the counts do not support."""
    columns = [table_node.GetTable().GetColumnByName(name) for name in ("count_check", "rejected_as", "name")]
    if None in columns:
        return []
    checks, rejected, names = columns
    return [
        (row, str(names.GetValue(row)))
        for row in range(table_node.GetNumberOfRows())
        if checks.GetValue(row) and not rejected.GetValue(row)
    ]


def count_check_text(table_node) -> str:
    """Return in a sentence which lesions the counts do not support; empty where they support all."""
    names = [name for _row, name in unsupported_lesions(table_node)]
    return _("⚠ Not supported by the counts: {names}.").format(names=", ".join(names)) if names else ""


def interval_tip(report: dict) -> str:
    """Return in plain language what the intervals of a result cover, and what they do not."""
    calibration = calibration_of(report)
    if calibration is None:
        return ""
    reference = {
        "high_count": _("the image of the full scan time"),
        "truth": _("the true activity"),
    }.get(calibration.reference, calibration.reference)
    people = calibration.cohort.get("subjects")
    count = len(people) if isinstance(people, (list, tuple)) else people
    whom = _("{count} simulated people").format(count=count) if count else _("simulated people")
    return _(
        "In brackets: the 90 % interval. If the region is a lesion, the value in {reference} lies in there "
        "in nine of ten cases. Found on simulated PET ({whom}), not on patients. It does not cover: false "
        "lesions, scans unlike the simulated ones, and errors of dose, weight or the scanner's calibration. "
        "Where the model is biased, the interval may leave out the measured value. *: drawn or changed by "
        "hand; the intervals were found for outlines that the model drew."
    ).format(reference=reference, whom=whom)


def counts_tip() -> str:
    """Return in plain language what the check against the counts says."""
    return _(
        "Whether the measured counts support the lesion: its mean SUV in the denoised volume against that in "
        "the low-count input. z is the difference in standard deviations of the counting error. ⚠: the "
        "counts do not support it; the difference is larger than chance explains, so the model may have "
        "added or strengthened the lesion: look at the low-count image. ↓: the denoised volume shows less "
        "than was counted. Removed: a hot spot of the low-count input that the model took away; a click "
        "brings all planes there. ✓ does not prove a lesion: noise and physiological uptake are counts, too."
    )


def remember_lesions_by_hand(table_node, numbers) -> None:
    """Write into the table of measurements which lesions are not as the model drew them."""
    table_node.SetAttribute(_BY_HAND_ATTRIBUTE, " ".join(str(number) for number in sorted(numbers)) or None)


def lesions_by_hand(table_node) -> frozenset[int]:
    """Return the numbers of the lesions that were drawn or changed by hand when they were measured."""
    return frozenset(int(number) for number in (table_node.GetAttribute(_BY_HAND_ATTRIBUTE) or "").split())
