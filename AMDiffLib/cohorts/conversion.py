"""One examination brought to one grid, in SUV, with organ labels and lesion instances, and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from AMDiffLib.cohorts.checks import CheckLimits, SubjectImages, problems_of
from AMDiffLib.cohorts.examination import Examination, LesionFile, PetFile
from AMDiffLib.cohorts.label_resampling import lesions_onto, organs_onto
from AMDiffLib.cohorts.totalsegmentator import organ_labels
from AMDiffLib.errors import BadInput
from AMDiffLib.image.reading import read_pet
from AMDiffLib.image.resampling import onto_grid, to_spacing
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.training.manifest import LABELS

MODEL_VOXEL_MM = 4.0


@dataclass(frozen=True, kw_only=True)
class ConversionSettings:
    """How examinations are converted.

    Attributes:
        voxel_size_mm: side of the cubic voxels; a model takes the size that it works at.
        scanner: name for files that do not say it; None: DICOM says it.
        levels: counts in percent to take; None: all.
        unlabelled: which of "organs" and "lesions" may be missing: their image is then empty, and the
            manifest says so.
        limits: beyond which a case is refused.
    """

    voxel_size_mm: float = MODEL_VOXEL_MM
    scanner: str | None = None
    levels: tuple[float, ...] | None = None
    unlabelled: frozenset[str] = frozenset()
    limits: CheckLimits = field(default_factory=CheckLimits)


@dataclass(frozen=True, kw_only=True)
class ConvertedSubject:
    """Images on one grid: SUV (g/mL) float32, organs uint8 (0, 2..8), lesions uint16 (0, 1..n)."""

    subject: str
    patient: str
    scanner: str
    high_count: sitk.Image
    low_count: Mapping[float, sitk.Image]
    organs: sitk.Image
    lesions: sitk.Image
    unlabelled: tuple[str, ...]
    warnings: tuple[str, ...]


def convert(examination: Examination, settings: ConversionSettings) -> ConvertedSubject:
    """Read an examination, resample it and check it.

    The grid is that of the high-count image, its axes turned to LPS, at the wanted voxel size. SUV images
    are averaged over wider voxels, which keeps their means; a label goes to the voxels that it fills most of.

    Raises:
        BadInput: something is missing, unreadable, of unknown unit, or beyond the limits of the checks.
    """
    levels = _usable_levels(examination, settings)
    unlabelled = tuple(key for key in LABELS if getattr(examination, key) is None)
    warnings: list[str] = []
    volume = _read(examination.high_count, "full-count", warnings)
    source = sitk.DICOMOrient(volume.with_array(volume.suv), "LPS")
    high_count = to_spacing(source, settings.voxel_size_mm)
    low_count = {}
    for level in levels:
        image = _read(examination.low_count[level], f"{level:g} %", warnings)
        image = sitk.DICOMOrient(image.with_array(image.suv), "LPS")
        _refuse_other_extent(image, source, level, settings.voxel_size_mm)
        low_count[level] = onto_grid(image, high_count)
    result = ConvertedSubject(
        subject=examination.subject,
        patient=examination.patient,
        scanner=_scanner(volume, settings),
        high_count=high_count,
        low_count=low_count,
        organs=_organs(examination, high_count),
        lesions=_lesions(examination.lesions, high_count),
        unlabelled=unlabelled,
        warnings=tuple(dict.fromkeys(warnings)),
    )
    if problems := problems_of(images_of(result), settings.limits):
        raise BadInput(" ".join(problems))
    return result


def images_of(subject: ConvertedSubject) -> SubjectImages:
    """The arrays of a converted subject, as the checks take them."""
    return SubjectImages(
        subject=subject.subject,
        spacing=subject.high_count.GetSpacing(),
        high_count=sitk.GetArrayViewFromImage(subject.high_count),
        low_count={level: sitk.GetArrayViewFromImage(image) for level, image in subject.low_count.items()},
        organs=sitk.GetArrayViewFromImage(subject.organs),
        lesions=sitk.GetArrayViewFromImage(subject.lesions),
    )


def _usable_levels(examination: Examination, settings: ConversionSettings) -> list[float]:
    if examination.problem:
        raise BadInput(examination.problem)
    if not examination.low_count:
        raise BadInput(
            "There is no low-count image of this examination. A denoiser learns from pairs; give images of "
            "fewer counts of the same acquisition (--low-count PERCENT=FOLDER)."
        )
    missing = [key for key in LABELS if getattr(examination, key) is None and key not in settings.unlabelled]
    if missing:
        raise BadInput(
            f"There are no labels of {' and '.join(missing)}. Give the folder that holds them "
            f"({', '.join(f'--{key} FOLDER' for key in missing)}), or allow subjects without, which serve to "
            f"train the denoiser alone (--unlabelled {','.join(missing)})."
        )
    wanted = settings.levels
    levels = [level for level in sorted(examination.low_count) if wanted is None or _among(level, wanted)]
    if not levels:
        there = ", ".join(f"{level:g}" for level in sorted(examination.low_count))
        raise BadInput(f"None of the levels asked for is there; there are {there} %.")
    return levels


def _among(level: float, wanted: tuple[float, ...]) -> bool:
    return any(abs(level - other) < 0.01 for other in wanted)


def _read(file: PetFile, what: str, warnings: list[str]) -> PetVolume:
    try:
        volume = read_pet(file.path, units=file.units)
    except BadInput as error:
        raise BadInput(f"The {what} image {file.path.name}: {error}") from None
    warnings += [f"the {what} image: {text}" for text in volume.warnings]
    return volume


def _scanner(volume: PetVolume, settings: ConversionSettings) -> str:
    if model := volume.source.get("model"):
        return str(model)
    if settings.scanner is None:
        raise BadInput(
            "The file does not say which scanner it comes from. Say so with --scanner NAME; figures are "
            "given for each scanner."
        )
    return settings.scanner


def _refuse_other_extent(image: sitk.Image, reference: sitk.Image, level: float, tolerance_mm: float) -> None:
    own, expected = _corners(image), _corners(reference)
    distance = float(np.abs(own - expected).max())
    if distance > tolerance_mm:
        raise BadInput(
            f"The {level:g} % image covers another region than the full-count image: its corners are up to "
            f"{distance:.0f} mm away from those. Both must be of one acquisition and field of view."
        )


def _corners(image: sitk.Image) -> np.ndarray:
    """The two outer corners of the first and the last voxel, mm."""
    last = np.array(image.GetSize()) - 0.5
    return np.array(
        [image.TransformContinuousIndexToPhysicalPoint(end) for end in ([-0.5] * 3, last.tolist())]
    )


def _organs(examination: Examination, grid: sitk.Image) -> sitk.Image:
    if examination.organs is None:
        return _image(np.zeros(grid.GetSize()[::-1], np.uint8), grid)
    organs = organs_onto(organ_labels(examination.organs), grid)
    if not organs.any():
        raise BadInput(
            f"The organ labels {examination.organs.path.name} lie outside of the PET image. Are they of this "
            "patient, and not moved?"
        )
    return _image(organs, grid)


def _lesions(file: LesionFile | None, grid: sitk.Image) -> sitk.Image:
    if file is None:
        return _image(np.zeros(grid.GetSize()[::-1], np.uint16), grid)
    try:
        mask = sitk.ReadImage(str(file.path))
    except RuntimeError:
        raise BadInput(
            f"The lesion mask {file.path.name} is not a readable image. Export it again."
        ) from None
    if mask.GetDimension() != 3 or mask.GetNumberOfComponentsPerPixel() != 1:
        raise BadInput(f"The lesion mask {file.path.name} is no 3-D image of one value a voxel.")
    values = sitk.GetArrayViewFromImage(mask)
    if not np.array_equal(values, np.rint(values)):
        raise BadInput(
            f"The lesion mask {file.path.name} holds fractions: a probability map, or resampled without "
            "rounding. Give the mask itself."
        )
    lesion = values > 0 if file.values is None else np.isin(values, file.values)
    binary = sitk.GetImageFromArray(lesion.astype(np.uint8))
    binary.CopyInformation(mask)
    return _image(lesions_onto(binary, grid), grid)


def _image(array: np.ndarray, grid: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(grid)
    return image
