"""What is measured in a PET volume: each lesion, the patient's totals, each organ, the reference regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from AMDiffLib.labels import ORGANS
from AMDiffLib.quantification.anatomy import Anatomy
from AMDiffLib.quantification.count_consistency import CountConsistency
from AMDiffLib.quantification.grid import Grid, grown, index_to_lps, voxel_volume_ml, within
from AMDiffLib.quantification.intervals import Uncertainty, with_intervals
from AMDiffLib.quantification.lean_body_mass import BodyMeasures
from AMDiffLib.quantification.lesion_regions import LesionRegion, regions_of
from AMDiffLib.quantification.measured import (
    LesionMeasurement,
    Measurements,
    OrganMeasurement,
    TotalMeasurement,
)
from AMDiffLib.quantification.reference_regions import (
    BLOOD_POOL,
    LIVER,
    ReferenceUptake,
    unusual_liver,
)
from AMDiffLib.quantification.response_criteria import (
    deauville_score,
    patient_deauville,
    percist_threshold,
)
from AMDiffLib.quantification.steps import Steps, finished
from AMDiffLib.quantification.suv_metrics import PEAK_RADIUS_MM, suv_peak
from AMDiffLib.quantification.threshold_volume import FIXED_SUV, SHARE_OF_MAXIMUM, threshold_volume

_SLICES_TOGETHER = 32


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What is measured beside SUV, MTV and TLG; `body` is needed for PERCIST only."""

    deauville: bool = False
    percist: bool = False
    body: BodyMeasures = field(default_factory=BodyMeasures)


def measure(
    suv: np.ndarray,
    lesion_instances: np.ndarray,
    organs: np.ndarray,
    *,
    volume: Grid,
    options: MeasureOptions | None = None,
) -> Measurements:
    """Measure every lesion and organ.

    Args:
        suv: (z, y, x) SUVbw in g/mL, on the grid of `volume`; usually the denoised image.
        lesion_instances: (z, y, x) integer, 0 outside and each lesion's number inside.
        organs: (z, y, x) integer, label values of `AMDiffLib.labels.ORGANS`.
        volume: gives the geometry only.

    Raises:
        ValueError: the three arrays are not of one shape, or a measured value is not a finite number.
    """
    lesion_instances, organs = np.asarray(lesion_instances), np.asarray(organs)
    if lesion_instances.shape != organs.shape:
        raise ValueError(f"the lesions have the shape {lesion_instances.shape}, the organs {organs.shape}")
    anatomy = Anatomy.of(regions_of(lesion_instances), organs, volume)
    return measure_anatomy(suv, anatomy, options)


def measure_anatomy(
    suv: np.ndarray,
    anatomy: Anatomy,
    options: MeasureOptions | None = None,
    uncertainty: Uncertainty | None = None,
    consistency: CountConsistency | None = None,
) -> Measurements:
    """Measure a known anatomy in one volume; several volumes of one patient share it. See `in_steps`."""
    return finished(in_steps(suv, anatomy, options, uncertainty, consistency))


def in_steps(
    suv: np.ndarray,
    anatomy: Anatomy,
    options: MeasureOptions | None = None,
    uncertainty: Uncertainty | None = None,
    consistency: CountConsistency | None = None,
) -> Steps[Measurements]:
    """Measure a known anatomy in one volume, lesion by lesion.

    With the `uncertainty` of a denoised volume its values have intervals; with its `consistency` with the
    low-count one, lesions have the z-score of their mean.

    Raises:
        ValueError: the volume is not of the anatomy's shape, or holds values that are not finite numbers.
    """
    suv, options = np.asarray(suv), options or MeasureOptions()
    if suv.shape != anatomy.organs.shape:
        raise ValueError(
            f"the SUV image has the shape {suv.shape}, lesions and organs have {anatomy.organs.shape}"
        )
    if not np.isfinite(suv).all():
        raise ValueError("the SUV image to be measured holds values that are not finite numbers")
    yield
    references = {
        name: anatomy.references.uptake(suv, name, anatomy.grid.spacing)
        for name in anatomy.references.indices
    }
    remarks = list(anatomy.references.missing)
    if unusual := unusual_liver(references[LIVER]):
        remarks.append(unusual)
    sul, threshold = None, None
    if options.percist:
        reason = options.body.reason_no_sul()
        if reason:
            remarks.append(f"No PERCIST: {reason}")
        else:
            sul = options.body.sul_per_suv()
            threshold = percist_threshold(references[LIVER].suv_mean, references[LIVER].suv_sd)
            threshold = None if threshold is None else threshold * sul
    lesions = []
    for region in anatomy.lesions:
        yield
        lesions.append(
            _measure_lesion(suv, region, anatomy, references, options, sul=sul, threshold_sul=threshold)
        )
        if consistency is not None:
            yield
            lesions[-1] = replace(lesions[-1], count_z=consistency.lesion_z(region))
    organs = yield from _measure_organs(suv, anatomy)
    found = Measurements(
        lesions=tuple(lesions),
        total=_measure_total(lesions, options, threshold),
        organs=organs,
        references=tuple(references.values()),
        remarks=tuple(remarks),
    )
    if uncertainty is not None:
        found = yield from with_intervals(found, suv, anatomy, uncertainty)
    return found


def _measure_lesion(
    suv: np.ndarray,
    region: LesionRegion,
    anatomy: Anatomy,
    references: dict[str, ReferenceUptake],
    options: MeasureOptions,
    *,
    sul: float | None,
    threshold_sul: float | None,
) -> LesionMeasurement:
    spacing = anatomy.grid.spacing
    values = suv[region.box][region.mask].astype(np.float64)
    highest, mean = float(values.max()), float(values.mean())
    mtv_ml = values.size * voxel_volume_ml(spacing)
    near = grown(region.box, suv.shape, spacing, PEAK_RADIUS_MM + max(spacing))
    mask = np.zeros(suv[near].shape, bool)
    mask[within(region.box, near)] = region.mask
    peak = suv_peak(suv[near], mask, spacing)
    contour = {"lesions": anatomy.any_lesion, "spacing": spacing}
    fixed = threshold_volume(suv, region, threshold=FIXED_SUV, **contour)
    # A share of a maximum that is not positive is no contour.
    relative = (
        threshold_volume(suv, region, threshold=SHARE_OF_MAXIMUM * highest, **contour)
        if highest > 0
        else None
    )
    index = tuple(float(i) for i in region.voxels.mean(axis=0)[::-1])
    return LesionMeasurement(
        number=region.number,
        name=region.name,
        rejected_as=region.rejected_as,
        location=anatomy.location_of(region),
        suv_max=highest,
        suv_mean=mean,
        suv_peak=peak,
        mtv_ml=mtv_ml,
        tlg_g=mean * mtv_ml,
        mtv_suv_4_ml=fixed.volume_ml,
        tlg_suv_4_g=fixed.tlg_g,
        mtv_41_percent_ml=relative.volume_ml if relative else None,
        tlg_41_percent_g=relative.tlg_g if relative else None,
        suv_max_to_liver=_ratio(highest, references[LIVER].suv_mean),
        suv_max_to_blood_pool=_ratio(highest, references[BLOOD_POOL].suv_mean),
        deauville=deauville_score(
            highest,
            blood_pool_max=references[BLOOD_POOL].suv_max,
            liver_max=references[LIVER].suv_max,
        )
        if options.deauville
        else None,
        sul_peak=None if sul is None else peak * sul,
        percist_measurable=None if threshold_sul is None else peak * sul >= threshold_sul,
        centroid_lps_mm=index_to_lps(index, anatomy.grid),
        centroid_index=index,
    )


def _ratio(value: float, reference: float | None) -> float | None:
    return value / reference if reference is not None and reference > 0 else None


def _measure_total(
    lesions: Sequence[LesionMeasurement], options: MeasureOptions, threshold_sul: float | None
) -> TotalMeasurement:
    accepted = [lesion for lesion in lesions if lesion.rejected_as is None]

    def total(name: str) -> float | None:
        values = [getattr(lesion, name) for lesion in accepted]
        return None if None in values else float(sum(values))

    def highest(name: str) -> float | None:
        return max((v for v in (getattr(lesion, name) for lesion in accepted) if v is not None), default=None)

    mtv_ml, tlg_g = total("mtv_ml"), total("tlg_g")
    return TotalMeasurement(
        lesion_count=len(accepted),
        rejected_count=len(lesions) - len(accepted),
        mtv_ml=mtv_ml,
        tlg_g=tlg_g,
        mtv_suv_4_ml=total("mtv_suv_4_ml"),
        tlg_suv_4_g=total("tlg_suv_4_g"),
        mtv_41_percent_ml=total("mtv_41_percent_ml"),
        tlg_41_percent_g=total("tlg_41_percent_g"),
        suv_max=highest("suv_max"),
        suv_mean=tlg_g / mtv_ml if accepted else None,
        suv_peak=highest("suv_peak"),
        deauville=patient_deauville([lesion.deauville for lesion in accepted]) if options.deauville else None,
        sul_peak=highest("sul_peak"),
        percist_threshold_sul=threshold_sul,
    )


def _measure_organs(suv: np.ndarray, anatomy: Anatomy) -> Steps[tuple[OrganMeasurement, ...]]:
    voxel_ml = voxel_volume_ml(anatomy.grid.spacing)
    count = {organ.label: 0 for organ in ORGANS}
    total = dict.fromkeys(count, 0.0)
    highest = dict.fromkeys(count, -np.inf)
    for first in range(0, len(suv), _SLICES_TOGETHER):
        yield
        slab = slice(first, first + _SLICES_TOGETHER)
        healthy = np.where(anatomy.any_lesion[slab], 0, anatomy.organs[slab])
        for label in count:
            values = suv[slab][healthy == label]
            if values.size:
                count[label] += values.size
                total[label] += float(values.sum(dtype=np.float64))
                highest[label] = max(highest[label], float(values.max()))
    return tuple(
        OrganMeasurement(
            label=organ.label,
            name=organ.name,
            suv_max=highest[organ.label] if count[organ.label] else None,
            suv_mean=total[organ.label] / count[organ.label] if count[organ.label] else None,
            volume_ml=count[organ.label] * voxel_ml,
        )
        for organ in ORGANS
    )
