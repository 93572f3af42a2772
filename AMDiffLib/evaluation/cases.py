"""The cases of a manifest, one at a time, with everything a denoiser and a segmenter are judged by."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    scanner: str
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
    manifests: Path | Sequence[Path], *, counts_percent: float | None = None, limit: int | None = None
) -> list[tuple[ManifestCase, Path | None]]:
    """Return the cases of one or more manifests at one count level (None: all) of the first `limit` subjects.

    With each comes the file of its noise-free truth, None where the manifest has none.

    Raises:
        BadInput: a manifest is not readable, two manifests name the same subject, or there is no such case.
    """
    manifests = [manifests] if isinstance(manifests, (str, Path)) else list(manifests)
    by_manifest = [_cases_of(Path(manifest)) for manifest in manifests]
    for (one, first), (other, second) in itertools.combinations(zip(manifests, by_manifest, strict=True), 2):
        if both := {case.subject for case, _ in first} & {case.subject for case, _ in second}:
            raise BadInput(
                f"Subject '{sorted(both)[0]}' is in {one} and in {other}. Give each subject once: "
                "the subject is the unit of the statistics."
            )
    cases = list(itertools.chain.from_iterable(by_manifest))
    subjects = list(dict.fromkeys(case.subject for case, _ in cases))[:limit]
    chosen = [
        (case, truth)
        for case, truth in cases
        if case.subject in subjects and counts_percent in (None, case.counts_percent)
    ]
    if not chosen:
        levels = ", ".join(f"{level:g}" for level in sorted({case.counts_percent for case, _ in cases}))
        raise BadInput(
            f"The manifest has no case at {counts_percent:g} % counts. Choose from its levels: {levels}."
        )
    return chosen


def load_case(
    case: ManifestCase, truth: Path | None, *, same_subject: EvaluationCase | None = None
) -> EvaluationCase:
    """Read all images of a case. Raises BadInput where one is not readable or lies on another grid.

    From `same_subject`, another level already read, what the levels share is taken without reading it again.
    """
    low_count = read_pet(case.low_count, units=SUV_UNITS)
    if same_subject is not None:
        if same_subject.low_count.suv.shape != low_count.suv.shape:
            raise BadInput(
                f"{case}: its low-count image has {low_count.suv.shape} voxels (z, y, x), another level "
                f"{same_subject.low_count.suv.shape}. All images of a subject must lie on one grid."
            )
        return replace(same_subject, counts_percent=case.counts_percent, low_count=low_count)
    references = {"high_count": _read(case.high_count, low_count, case)}
    if truth is not None:
        references["truth"] = _read(truth, low_count, case)
    return EvaluationCase(
        subject=case.subject,
        scanner=case.scanner,
        counts_percent=case.counts_percent,
        low_count=low_count,
        references=references,
        organs=_read(case.organs, low_count, case),
        lesions=_read(case.lesions, low_count, case).astype(np.int32),
    )


def _cases_of(manifest: Path) -> list[tuple[ManifestCase, Path | None]]:
    cases = read_manifest(manifest)
    entries = json.loads(manifest.read_text(encoding="utf-8"))["cases"]
    truths = [manifest.parent / entry["truth"] if entry.get("truth") else None for entry in entries]
    return list(zip(cases, truths, strict=True))


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
