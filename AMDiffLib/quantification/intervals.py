"""How far a measured value may be from the true one: calibrated intervals of lesions, totals and organs.

The method in ten lines. The error of a quantity (SUVmax, SUVmean, SUVpeak, MTV, TLG) is e = ln(true /
measured). On simulated people that the model has not learnt from, each marked region that touches true
lesions is compared with these lesions together. Location and scale of e are linear in ln(volume) and
ln(relative SD), the latter from the model's uncertainty map over the region (maximum likelihood of a Student
t distribution, so that a few gross errors do not rule). The standardised errors z = (e - location) / scale,
each under a model fitted without that person, then give the quantiles: split conformal prediction, by size
class or organ where there are enough, with the correction for a finite number. The interval is measured x
exp(location + scale x quantile). It holds for marked regions that touch a true lesion: nothing is said of
false positives. The interval of an edited lesion is that of a marked region of its size and uncertainty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from AMDiffLib.labels import ORGANS
from AMDiffLib.quantification.anatomy import Anatomy
from AMDiffLib.quantification.calibration import Calibration, Features
from AMDiffLib.quantification.lesion_regions import LesionRegion
from AMDiffLib.quantification.measured import (
    Interval,
    LesionMeasurement,
    Measurements,
    OrganMeasurement,
    TotalMeasurement,
)
from AMDiffLib.quantification.steps import Steps

LESION, TOTAL, ORGAN = "lesion", "total", "organ"
QUANTITIES = {
    LESION: ("suv_max", "suv_mean", "suv_peak", "mtv_ml", "tlg_g"),
    TOTAL: ("mtv_ml", "tlg_g"),
    ORGAN: ("suv_mean",),
}
"""The quantities that have intervals, by what is measured."""

SIZE_LIMITS_ML = (1.0, 5.0)
SIZE_NAMES = ("below 1 mL", "1 to 5 mL", "5 mL or more")

_SMALLEST_RELATIVE_SD = 1e-4
_SLICES_TOGETHER = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class Uncertainty:
    """What intervals are made from.

    Attributes:
        sd: (z, y, x) standard deviation of the denoised volume, SUVbw in g/mL, on its grid.
        calibration: the constants found for the model that made both.
    """

    sd: np.ndarray
    calibration: Calibration


def with_intervals(
    measurements: Measurements, anatomy: Anatomy, uncertainty: Uncertainty
) -> Steps[Measurements]:
    """Return the `measurements` of an anatomy's denoised volume with intervals.

    Accepted lesions, their total and the organs have them; a rejected lesion has none.

    Raises:
        ValueError: the uncertainty map is not of the anatomy's shape, or holds values that are not finite.
    """
    sd = np.asarray(uncertainty.sd)
    if sd.shape != anatomy.organs.shape:
        raise ValueError(f"the uncertainty map has the shape {sd.shape}, the organs {anatomy.organs.shape}")
    if not np.isfinite(sd).all():
        raise ValueError("the uncertainty map holds values that are not finite numbers")
    yield
    calibration = uncertainty.calibration
    regions = {region.number: region for region in anatomy.lesions}
    lesions = []
    for lesion in measurements.lesions:
        if lesion.rejected_as is None:
            sd_inside = sd_of([regions[lesion.number]], sd)
            found = _intervals(calibration, LESION, size_class(lesion.mtv_ml), sd_inside, lesion)
            lesion = replace(lesion, intervals=found)
        lesions.append(lesion)
    yield
    total = measurements.total
    accepted = [regions[lesion.number] for lesion in lesions if lesion.rejected_as is None]
    if accepted:
        total = replace(total, intervals=_intervals(calibration, TOTAL, TOTAL, sd_of(accepted, sd), total))
    organ_sd = yield from sd_of_organs(anatomy.organs, anatomy.any_lesion, sd)
    organs = tuple(
        replace(organ, intervals=_intervals(calibration, ORGAN, organ.name, organ_sd[organ.label], organ))
        for organ in measurements.organs
    )
    return replace(measurements, lesions=tuple(lesions), total=total, organs=organs)


def _intervals(
    calibration: Calibration,
    kind: str,
    group: str,
    sd: float | None,
    measured: LesionMeasurement | TotalMeasurement | OrganMeasurement,
) -> dict[str, Interval]:
    volume_ml = measured.volume_ml if kind == ORGAN else measured.mtv_ml
    features = features_of(sd, measured.suv_mean, volume_ml)
    if features is None:
        return {}
    found = {}
    for quantity in QUANTITIES[kind]:
        model = calibration.model_of(calibrated_name(kind, quantity))
        if model is not None:
            low, high = model.factors(features, group)
            value = getattr(measured, quantity)
            found[quantity] = Interval(low=value * low, high=value * high)
    return found


def calibrated_name(kind: str, quantity: str) -> str:
    """Return the name under which a calibration keeps the quantity of a kind of region."""
    return f"{kind}_{quantity}"


def size_class(volume_ml: float) -> str:
    """Return the name of the size class of a volume in mL."""
    return SIZE_NAMES[int(np.digitize(volume_ml, SIZE_LIMITS_ML))]


def sd_of(regions: Sequence[LesionRegion], sd: np.ndarray) -> float:
    """Return the root mean square of the map `sd` (z, y, x) over the voxels of some lesions, g/mL."""
    values = np.concatenate([sd[region.box][region.mask] for region in regions]).astype(np.float64)
    return math.sqrt(float(np.mean(values**2)))


def sd_of_organs(
    organs: np.ndarray, any_lesion: np.ndarray, sd: np.ndarray
) -> Steps[dict[int, float | None]]:
    """Return the same of each organ without lesions, by label; None where nothing of it was found."""
    squares = {organ.label: 0.0 for organ in ORGANS}
    voxels = dict.fromkeys(squares, 0)
    for first in range(0, len(sd), _SLICES_TOGETHER):
        yield
        slab = slice(first, first + _SLICES_TOGETHER)
        healthy = np.where(any_lesion[slab], 0, organs[slab])
        for label in squares:
            values = sd[slab][healthy == label].astype(np.float64)
            squares[label] += float(values @ values)
            voxels[label] += values.size
    return {label: math.sqrt(squares[label] / voxels[label]) if voxels[label] else None for label in squares}


def features_of(sd: float | None, suv_mean: float | None, volume_ml: float) -> Features | None:
    """Return what a region's intervals depend on; None where it is empty or its mean SUV is not positive."""
    if sd is None or suv_mean is None or not (suv_mean > 0 and volume_ml > 0):
        return None
    return Features(volume_ml=volume_ml, relative_sd=max(sd / suv_mean, _SMALLEST_RELATIVE_SD))
