"""The cases of a manifest, one at a time, with everything a denoiser and a segmenter are judged by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AMDiffLib.errors import BadInput
from AMDiffLib.image.reading import SUV_UNITS, read_pet
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.labels import ORGANS
from AMDiffLib.training.dataset import ManifestCase, read_manifest

_BODY_SMOOTHING_MM = 8.0
_BODY_SUV = 0.1


@dataclass(frozen=True, kw_only=True)
class EvaluationCase:
    """One count level of one subject, (z, y, x) on the grid of `low_count`.

    `references` are the SUV images to compare with: "high_count", and "truth" (noise-free) where the manifest
    has it. `organs` holds label values 2..8, `lesions` instance numbers.
    """

    subject: str
    counts_percent: float
    low_count: PetVolume
    references: dict[str, np.ndarray]
    organs: np.ndarray
    lesions: np.ndarray

    def regions(self) -> dict[str, np.ndarray]:
        """Return the masks in which images are compared: whole, body, lesion, organs without lesions."""
        lesion = self.lesions > 0
        return {
            "whole": np.ones(lesion.shape, bool),
            "body": body_region(self.references["high_count"], self.low_count.spacing),
            "lesion": lesion,
            **{organ.name: (self.organs == organ.label) & ~lesion for organ in ORGANS},
        }


def choose_cases(
    manifest: Path, *, counts_percent: float | None = None, limit: int | None = None
) -> list[tuple[ManifestCase, Path | None]]:
    """Return the cases of a manifest at one count level (None: all) of the first `limit` subjects.

    With each comes the file of its noise-free truth, None where the manifest has none.

    Raises:
        BadInput: the manifest is not readable, or has no such case.
    """
    cases = read_manifest(manifest)
    entries = json.loads(Path(manifest).read_text(encoding="utf-8"))["cases"]
    truths = [Path(manifest).parent / entry["truth"] if entry.get("truth") else None for entry in entries]
    subjects = list(dict.fromkeys(case.subject for case in cases))[:limit]
    chosen = [
        (case, truth)
        for case, truth in zip(cases, truths, strict=True)
        if case.subject in subjects and counts_percent in (None, case.counts_percent)
    ]
    if not chosen:
        levels = ", ".join(f"{level:g}" for level in sorted({case.counts_percent for case in cases}))
        raise BadInput(
            f"The manifest has no case at {counts_percent:g} % counts. Choose from its levels: {levels}."
        )
    return chosen


def load_case(case: ManifestCase, truth: Path | None) -> EvaluationCase:
    """Read all images of a case. Raises BadInput where one is not readable or lies on another grid."""
    low_count = read_pet(case.low_count, units=SUV_UNITS)
    references = {"high_count": _read(case.high_count, low_count, case)}
    if truth is not None:
        references["truth"] = _read(truth, low_count, case)
    return EvaluationCase(
        subject=case.subject,
        counts_percent=case.counts_percent,
        low_count=low_count,
        references=references,
        organs=_read(case.organs, low_count, case),
        lesions=_read(case.lesions, low_count, case).astype(np.int32),
    )


def body_region(reference: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Return where the patient is: SUV above 0.1 after smoothing (sigma 8 mm), holes of sections filled."""
    import SimpleITK as sitk
    from scipy import ndimage

    image = sitk.GetImageFromArray(np.ascontiguousarray(reference, np.float32))
    image.SetSpacing(spacing)
    smooth = sitk.GetArrayFromImage(
        sitk.DiscreteGaussian(image, variance=[_BODY_SMOOTHING_MM**2] * 3, maximumKernelWidth=64)
    )
    body = smooth > _BODY_SUV
    return np.stack([ndimage.binary_fill_holes(section) for section in body])


def _read(path: Path, grid: PetVolume, case: ManifestCase) -> np.ndarray:
    import SimpleITK as sitk

    try:
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        raise BadInput(f"{case}: the file {path} is not a readable image.") from error
    if array.shape != grid.suv.shape:
        raise BadInput(
            f"{case}: {path} has {array.shape} voxels (z, y, x), the low-count image {grid.suv.shape}. All "
            "images of a case must lie on one grid."
        )
    return array
