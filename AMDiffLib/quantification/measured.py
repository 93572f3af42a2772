"""The values that a measurement gives: of each lesion, of all together, of each organ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from AMDiffLib.quantification import tables
from AMDiffLib.quantification.location import Location
from AMDiffLib.quantification.reference_regions import ReferenceUptake


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Where a true value lies with a probability of 90 %, in the unit of the value measured."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class LesionMeasurement:
    """One lesion. SUV and SUL in g/mL, volumes in mL, TLG in g; centroids are (x, y, z).

    `rejected_as` is None for an accepted lesion. None elsewhere: not defined, or not asked for. `intervals`
    go by the attribute that they belong to, such as "suv_max"; see `AMDiffLib.quantification.intervals`.
    `count_z` compares with the counts; see `AMDiffLib.quantification.count_consistency`.
    """

    number: int
    name: str
    rejected_as: str | None
    location: Location
    suv_max: float
    suv_mean: float
    suv_peak: float
    mtv_ml: float
    tlg_g: float
    mtv_suv_4_ml: float
    tlg_suv_4_g: float
    mtv_41_percent_ml: float | None
    tlg_41_percent_g: float | None
    suv_max_to_liver: float | None
    suv_max_to_blood_pool: float | None
    deauville: int | None
    sul_peak: float | None
    percist_measurable: bool | None
    centroid_lps_mm: tuple[float, float, float]
    centroid_index: tuple[float, float, float]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    count_z: float | None = None


@dataclass(frozen=True, kw_only=True)
class TotalMeasurement:
    """The accepted lesions of the patient together; `rejected_count` are left out.

    SUV are None without lesions, and a sum is None where it is for one of them.
    """

    lesion_count: int
    rejected_count: int
    mtv_ml: float
    tlg_g: float
    mtv_suv_4_ml: float
    tlg_suv_4_g: float
    mtv_41_percent_ml: float | None
    tlg_41_percent_g: float | None
    suv_max: float | None
    suv_mean: float | None
    suv_peak: float | None
    deauville: int | None
    sul_peak: float | None
    percist_threshold_sul: float | None
    intervals: Mapping[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OrganMeasurement:
    """One organ without the voxels of lesions; SUV are None where nothing of it was found."""

    label: int
    name: str
    suv_max: float | None
    suv_mean: float | None
    volume_ml: float
    intervals: Mapping[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """All that is measured in one PET volume; `remarks` say what is not there and why."""

    lesions: tuple[LesionMeasurement, ...]
    total: TotalMeasurement
    organs: tuple[OrganMeasurement, ...]
    references: tuple[ReferenceUptake, ...]
    remarks: tuple[str, ...]

    def to_csv(self, path: str | Path, low_count: Measurements | None = None) -> None:
        """Write one tidy table: a row per lesion, the total, a row per organ; units in the column names.

        `low_count` are the same lesions and organs in the low-count input, for columns beside these.
        """
        tables.write_csv(path, self, low_count)

    def to_json(self, path: str | Path, low_count: Measurements | None = None) -> None:
        """Write the same values with their definitions."""
        tables.write_json(path, self, low_count)
