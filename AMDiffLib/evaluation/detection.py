"""Which true lesions were found, by size, and how much was marked where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.quantification.suv_metrics import voxel_volume_ml

SIZE_LIMITS_ML = (1.0, 5.0)
SIZE_NAMES = ("below 1 mL", "1 to 5 mL", "5 mL or more")


@dataclass(frozen=True, kw_only=True)
class Detection:
    """`true` and `found` lesions by size class (`SIZE_NAMES`), and lesions marked or missed as a whole.

    A true lesion is found if at least one of its voxels was marked. False-positive lesions are marked ones
    that touch no true lesion; false-negative ones are true lesions that were not found. Volumes in mL.
    """

    true: tuple[int, ...]
    found: tuple[int, ...]
    false_positives: int
    false_positive_ml: float
    false_negative_ml: float


def detect(marked: np.ndarray, true: np.ndarray, spacing: Sequence[float]) -> Detection:
    """Compare two images of numbered lesions (0 outside, 1..n inside), each (z, y, x) integer.

    `spacing` is (x, y, z) in mm.

    Raises:
        ValueError: shapes differ.
    """
    if marked.shape != true.shape:
        raise ValueError(f"lesion images of shape {marked.shape} and {true.shape} cannot be compared")
    voxel_ml = voxel_volume_ml(spacing)
    true_ml, hit = _sizes(true, marked > 0, voxel_ml)
    marked_ml, touching = _sizes(marked, true > 0, voxel_ml)
    size_class = np.digitize(true_ml, SIZE_LIMITS_ML)
    return Detection(
        true=tuple(int((size_class == c).sum()) for c in range(len(SIZE_NAMES))),
        found=tuple(int(hit[size_class == c].sum()) for c in range(len(SIZE_NAMES))),
        false_positives=int((~touching).sum()),
        false_positive_ml=float(marked_ml[~touching].sum()),
        false_negative_ml=float(true_ml[~hit].sum()),
    )


def _sizes(instances: np.ndarray, other: np.ndarray, voxel_ml: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the volume (mL) of each lesion that has voxels, and whether it overlaps the other mask."""
    voxels = np.bincount(instances.ravel())[1:]
    overlap = np.bincount(instances[other], minlength=len(voxels) + 1)[1:]
    return voxels[voxels > 0] * voxel_ml, overlap[voxels > 0] > 0
