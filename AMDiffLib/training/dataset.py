"""A cohort of paired low- and high-count PET volumes with labels, checked and held in memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from AMDiffLib.errors import BadInput
from AMDiffLib.labels import LESION, ORGANS
from AMDiffLib.training.manifest import ManifestCase, read_manifest

__all__ = ["ManifestCase", "Subject", "load_cohort", "read_manifest"]

HIGHEST_SUV = 1000.0  # the hottest bladder stays below; Bq/mL are in the thousands
_ORGAN_LABELS = f"0 and {ORGANS[0].label}..{ORGANS[-1].label} ({ORGANS[0].name} .. {ORGANS[-1].name})"
_BODY_SUV = 0.1
_BODY_VOXELS_KEPT = 20_000
MOST_LESIONS = 1000
# Counts conserve the mean: what differs by more than this factor is of another unit or scale.
_LARGEST_RATIO = 1.5


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A subject's volumes on one grid, (z, y, x); the levels share the reference and the labels.

    `low_count` maps the counts in per cent to a float16 SUV volume. `body` is a sample of flat voxel indices
    inside the body, `lesion_voxels` one array of flat indices per lesion instance.
    """

    name: str
    scanner: str
    low_count: dict[float, np.ndarray]
    high_count: np.ndarray
    organs: np.ndarray
    lesions: np.ndarray
    body: np.ndarray
    lesion_voxels: tuple[np.ndarray, ...]
    spacing: tuple[float, float, float]


def load_cohort(
    cases: Sequence[ManifestCase], *, voxel_size_mm: float | None = None, threads: int = 2
) -> list[Subject]:
    """Load all volumes of `cases` into memory, one Subject per subject, in the manifest's order.

    Volumes are turned to LPS axes. Raises BadInput where a voxel size differs by more than 2 % from
    `voxel_size_mm` (the grid the model works at), values are not finite or no SUV, labels are unknown, the
    body is empty, or the images of two count levels are the same or differ in scale.
    """
    by_subject: dict[str, list[ManifestCase]] = {}
    for case in cases:
        by_subject.setdefault(case.subject, []).append(case)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda group: _load_subject(group, voxel_size_mm), by_subject.values()))


def _load_subject(cases: Sequence[ManifestCase], voxel_size_mm: float | None) -> Subject:
    case = cases[0]
    high_image = _read(case.high_count)
    spacing = high_image.GetSpacing()
    if voxel_size_mm is not None and not np.allclose(spacing, voxel_size_mm, rtol=0.02):
        raise BadInput(
            f"{case}: its voxels are {' x '.join(f'{s:.3g}' for s in spacing)} mm, the model works at "
            f"{voxel_size_mm:g} mm. Resample the cohort or set voxel_size_mm in the model's configuration."
        )
    high_count = _suv(high_image, case, "high_count")
    organs = _labels(_read(case.organs), case, "organs", highest=ORGANS[-1].label)
    if np.any(organs == LESION.label):
        raise BadInput(f"{case}: organ label {LESION.label} is unknown; {_ORGAN_LABELS} are expected.")
    lesions = _labels(_read(case.lesions), case, "lesions", highest=MOST_LESIONS)
    body = _body_voxels(high_count)
    if not body.size:
        raise BadInput(f"{case}: the high_count image is empty: no voxel is above SUV {_BODY_SUV:g}.")
    low_count = {}
    for level in cases:
        low_count[level.counts_percent] = _suv(_read(level.low_count), level, "low_count")
        _check_pair(low_count[level.counts_percent], high_count, body, level)
    return Subject(
        name=case.subject,
        scanner=case.scanner,
        low_count=low_count,
        high_count=high_count,
        organs=organs.astype(np.uint8),
        lesions=lesions.astype(np.int16),
        body=body,
        lesion_voxels=_instances(lesions),
        spacing=spacing,
    )


def _read(path: Path) -> sitk.Image:
    return sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")


def _suv(image: sitk.Image, case: ManifestCase, key: str) -> np.ndarray:
    array = sitk.GetArrayFromImage(image)
    if not np.isfinite(array).all():
        raise BadInput(f"{case}: the {key} image holds values that are not finite.")
    if array.max() > HIGHEST_SUV:
        raise BadInput(
            f"{case}: the highest value of the {key} image is {array.max():.4g}; SUV stays below "
            f"{HIGHEST_SUV:g}. Are these Bq/mL? Convert them to SUVbw (g/mL)."
        )
    return array.astype(np.float16)  # relative precision 0.05 %, far below counting noise


def _labels(image: sitk.Image, case: ManifestCase, key: str, *, highest: int) -> np.ndarray:
    array = sitk.GetArrayFromImage(image)
    present = np.unique(array)
    wrong = [f"{v:g}" for v in present if not (0 <= v <= highest and v == int(v))]
    if wrong:
        shown = ", ".join(wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        expected = _ORGAN_LABELS if key == "organs" else f"lesion numbers from 0 to {highest}"
        raise BadInput(
            f"{case}: {key.removesuffix('s')} labels [{shown}] are unknown; {expected} are expected."
        )
    return array


def _check_pair(low: np.ndarray, high: np.ndarray, body: np.ndarray, case: ManifestCase) -> None:
    """Refuse what cannot be two count levels of one scan; AMDiffLib.prepare_cohort check looks closer."""
    if np.array_equal(low, high):
        raise BadInput(f"{case}: the low_count and the high_count image are the same image.")
    ratio = float(low.ravel()[body].mean(dtype=np.float64) / high.ravel()[body].mean(dtype=np.float64))
    if not 1 / _LARGEST_RATIO < ratio < _LARGEST_RATIO:
        raise BadInput(
            f"{case}: within the body the mean of the low_count image is {ratio:.3g} times that of the "
            "high_count image; counts do not change the mean SUV. One of them is of another unit or scale."
        )


def _body_voxels(high_count: np.ndarray) -> np.ndarray:
    mask = sitk.GetImageFromArray((high_count > _BODY_SUV).astype(np.uint8))
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(mask))
    indices = np.flatnonzero(sitk.GetArrayViewFromImage(parts) == 1)
    if indices.size > _BODY_VOXELS_KEPT:
        indices = np.random.default_rng(0).choice(indices, _BODY_VOXELS_KEPT, replace=False)
    return indices.astype(np.int64)


def _instances(lesions: np.ndarray) -> tuple[np.ndarray, ...]:
    indices = np.flatnonzero(lesions)
    values = lesions.ravel()[indices]
    return tuple(indices[values == value] for value in np.unique(values))
