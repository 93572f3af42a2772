"""Which true lesions were found, by size, and how much was marked where there is none.

False-positive and false-negative volumes are those of the autoPET challenge: components of 18-connectivity
of one mask that share no voxel with the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AMDiffLib.evaluation.metrics import NAN, dice
from AMDiffLib.quantification.grid import voxel_volume_ml

SIZE_LIMITS_ML = (0.5, 1.0, 5.0)
SIZE_NAMES = ("below 0.5 mL", "0.5 to 1 mL", "1 to 5 mL", "5 mL or more")
MEASURABLE_ML = 0.5
"""Smallest true lesion that `measurable_dice` asks for: eight voxels of 4 mm."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """`true` and `found` lesions by size class (`SIZE_NAMES`), and components marked or missed as a whole.

    A true lesion is found if at least one of its voxels was marked. False positives are marked components
    that touch no true lesion. Volumes in mL; `false_negative_ml` is NaN where there is no true lesion.
    """

    true: tuple[int, ...]
    found: tuple[int, ...]
    false_positives: int
    false_positive_ml: float
    false_negative_ml: float


def detect(marked: np.ndarray, true: np.ndarray, spacing: Sequence[float]) -> Detection:
    """Compare marked lesions with true ones, each (z, y, x) integer, 0 outside.

    Sensitivity counts the instances (1..n) of `true`, false volumes the connected components of both.
    `spacing` is (x, y, z) in mm.

    Raises:
        ValueError: shapes differ.
    """
    _same_shape(marked, true)
    voxel_ml = voxel_volume_ml(spacing)
    instance_ml, hit = _sizes(true, marked != 0, voxel_ml)
    size_class = np.digitize(instance_ml * (1.0 + 1e-9), SIZE_LIMITS_ML)
    marked_ml, touching = _sizes(_components(marked), true != 0, voxel_ml)
    true_ml, touched = _sizes(_components(true), marked != 0, voxel_ml)
    return Detection(
        true=tuple(int((size_class == c).sum()) for c in range(len(SIZE_NAMES))),
        found=tuple(int(hit[size_class == c].sum()) for c in range(len(SIZE_NAMES))),
        false_positives=int((~touching).sum()),
        false_positive_ml=float(marked_ml[~touching].sum()),
        false_negative_ml=float(true_ml[~touched].sum()) if true_ml.size else NAN,
    )


def measurable_dice(
    marked: np.ndarray, true: np.ndarray, spacing: Sequence[float], minimum_ml: float = MEASURABLE_ML
) -> float:
    """Return Dice over a patient's lesions of at least `minimum_ml`; NaN where there is none.

    Smaller true lesions are ignored: neither their voxels nor marked components that touch only them count.
    `marked` (z, y, x) is non-zero inside, `true` holds instance numbers; `spacing` is (x, y, z) in mm.

    Raises:
        ValueError: shapes differ.
    """
    _same_shape(marked, true)
    voxels = np.bincount(true.ravel())
    large = voxels * voxel_volume_ml(spacing) >= minimum_ml * (1.0 - 1e-9)
    large[0] = False
    wanted = large[true]
    ignored = (true != 0) & ~wanted
    found = np.asarray(marked) != 0
    if ignored.any():
        components = _components(found)
        count = int(components.max()) + 1
        touches_ignored = np.bincount(components[ignored], minlength=count) > 0
        touches_wanted = np.bincount(components[wanted], minlength=count) > 0
        found = found & ~ignored & ~(touches_ignored & ~touches_wanted)[components]
    return dice(found, wanted)


def _components(mask: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    structure = ndimage.generate_binary_structure(3, 2)
    return ndimage.label(np.asarray(mask) != 0, structure=structure)[0]


def _sizes(instances: np.ndarray, other: np.ndarray, voxel_ml: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the volume (mL) of each lesion that has voxels, and whether it overlaps the other mask."""
    voxels = np.bincount(instances.ravel())[1:]
    overlap = np.bincount(instances[other], minlength=len(voxels) + 1)[1:]
    return voxels[voxels > 0] * voxel_ml, overlap[voxels > 0] > 0


def _same_shape(marked: np.ndarray, true: np.ndarray) -> None:
    if np.shape(marked) != np.shape(true):
        raise ValueError(f"lesion images of shape {np.shape(marked)} and {np.shape(true)} cannot be compared")
