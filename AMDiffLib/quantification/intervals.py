"""How far a measured value may be from the true one: calibrated intervals of lesions, totals and organs.

The method in ten lines. The error of a quantity (SUVmax, SUVmean, SUVpeak, MTV, TLG) is e = ln(true /
measured). On simulated people that the model has not learnt from, each marked region that touches true
lesions is compared with these. Location and scale of e are linear in the logarithms of the region's volume,
of its relative SD (the model's uncertainty map in it / its mean SUV) and of its rim (mean SUV around it / in
it), by the largest likelihood of a Student t distribution, so that a few gross errors do not rule. The
standardised errors z = (e - location) / scale, each under a model fitted without that person, then give the
quantiles: split conformal prediction, by size class or organ where there are enough, with the correction for
a finite number. The interval is measured x exp(location + scale x quantile). It holds for marked regions
that touch a true lesion, not for false positives. That of an edited lesion is as of a region marked so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from AMDiffLib.quantification.anatomy import Anatomy
from AMDiffLib.quantification.calibration import Calibration, Features
from AMDiffLib.quantification.interval_features import lesion_features, organ_features
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
    measurements: Measurements, suv: np.ndarray, anatomy: Anatomy, uncertainty: Uncertainty
) -> Steps[Measurements]:
    """Return the `measurements` of an anatomy's denoised volume `suv` (z, y, x) with intervals.

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
    spacing = anatomy.grid.spacing
    lesions = []
    for lesion in measurements.lesions:
        if lesion.rejected_as is None:
            yield
            features = lesion_features([regions[lesion.number]], suv, sd, spacing)
            found = _intervals(calibration, LESION, size_class(lesion.mtv_ml), features, lesion)
            lesion = replace(lesion, intervals=found)
        lesions.append(lesion)
    yield
    total = measurements.total
    accepted = [regions[lesion.number] for lesion in lesions if lesion.rejected_as is None]
    if accepted:
        features = lesion_features(accepted, suv, sd, spacing)
        total = replace(total, intervals=_intervals(calibration, TOTAL, TOTAL, features, total))
    features_by_label = yield from organ_features(anatomy.organs, anatomy.any_lesion, suv, sd, spacing)
    organs = []
    for organ in measurements.organs:
        found = _intervals(calibration, ORGAN, organ.name, features_by_label[organ.label], organ)
        organs.append(replace(organ, intervals=found))
    return replace(measurements, lesions=tuple(lesions), total=total, organs=tuple(organs))


def _intervals(
    calibration: Calibration,
    kind: str,
    group: str,
    features: Features | None,
    measured: LesionMeasurement | TotalMeasurement | OrganMeasurement,
) -> dict[str, Interval]:
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
