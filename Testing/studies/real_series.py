"""A real PET series: its voxels as SUV, and what its header says about dose, counts and septa."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import study_output  # noqa: F401  it lets AMDiffLib be found

from AMDiffLib.image.reading import read_pet
from AMDiffLib.image.volume import PetVolume


@dataclass(frozen=True, kw_only=True)
class RealScan:
    """A scan as the header of its slices near a point of interest describes it.

    `prompts_per_slice` is the mean of (0054,1310) over the slices of interest, which here is per slice.
    `collimator` is (0018,1181): RING for septa in (2D), NONE for septa out (3D).
    """

    model: str
    collimator: str
    spacing_mm: tuple[float, float, float]
    female: bool
    weight_kg: float
    height_cm: float
    injected_mbq: float
    uptake_minutes: float
    minutes: float
    prompts_per_slice: float
    scatter_fraction: float


def read_series(folder: Path) -> tuple[PetVolume, list[pydicom.Dataset]]:
    """Return the volume (slices from feet to head) and the headers of its slices, in that order."""
    volume = read_pet(folder)
    if not np.allclose(volume.direction, np.eye(3).ravel(), atol=1e-3):
        raise ValueError("The study expects axial slices along the axes of the patient.")
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in folder.iterdir() if path.is_file()]
    headers = [header for header in headers if header.get("Modality") == "PT"]
    return volume, sorted(headers, key=lambda header: float(header.ImagePositionPatient[2]))


def box_around(volume: PetVolume, centre_mm: Sequence[float], size: Sequence[int]) -> tuple[slice, ...]:
    """Return the slices (z, y, x) of the box of `size` voxels (z, y, x) around `centre_mm` (x, y, z), LPS."""
    corner = [
        round((c - o) / s - (n - 1) / 2)
        for c, o, s, n in zip(centre_mm, volume.origin, volume.spacing, size[::-1], strict=True)
    ][::-1]
    box = tuple(slice(first, first + n) for first, n in zip(corner, size, strict=True))
    if any(b.start < 0 or b.stop > n for b, n in zip(box, volume.suv.shape, strict=True)):
        raise ValueError(f"The box at {tuple(centre_mm)} mm is not within the image; give another --centre.")
    return box


def describe(volume: PetVolume, headers: Sequence[pydicom.Dataset], slices: slice) -> RealScan:
    """Return what the headers of `slices` say."""
    chosen = headers[slices]
    first = chosen[0]
    isotope = first.RadiopharmaceuticalInformationSequence[0]
    injected = _clock(isotope.RadiopharmaceuticalStartTime)
    started = _clock(first.SeriesTime)
    frame_minutes = float(first.FrameReferenceTime) / 60e3
    return RealScan(
        model=f"{first.Manufacturer} {first.ManufacturerModelName}",
        collimator=first.CollimatorType,
        spacing_mm=tuple(volume.spacing[::-1]),
        female=first.PatientSex == "F",
        weight_kg=float(first.PatientWeight),
        height_cm=100 * float(first.PatientSize),
        injected_mbq=float(isotope.RadionuclideTotalDose) / 1e6,
        uptake_minutes=(started - injected).total_seconds() / 60 + frame_minutes,
        minutes=float(first.ActualFrameDuration) / 60e3,
        prompts_per_slice=float(np.mean([h.PrimaryPromptsCountsAccumulated for h in chosen])),
        scatter_fraction=float(first.ScatterFractionFactor),
    )


def _clock(time: str) -> datetime:
    return datetime.strptime(str(time).split(".")[0], "%H%M%S")
