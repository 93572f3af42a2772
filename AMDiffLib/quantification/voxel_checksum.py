"""A checksum by which a segment is known to be as the model drew it, wherever it has been since."""

from __future__ import annotations

import hashlib

import numpy as np

from AMDiffLib.quantification.lesion_regions import LesionRegion

CHECKSUM_TAG = "AMDiff.voxels"


def voxel_checksum(mask: np.ndarray) -> str:
    """Return the SHA-256 of where the voxels of `mask` are; (z, y, x), on the scan's whole grid."""
    return _of_positions(np.flatnonzero(mask), mask.shape)


def region_checksum(region: LesionRegion, shape: tuple[int, int, int]) -> str:
    """Return the same of a lesion in a volume of `shape` (z, y, x), without a mask of the whole grid."""
    return _of_positions(np.ravel_multi_index(tuple(region.voxels.T), shape), shape)


def _of_positions(positions: np.ndarray, shape: tuple[int, ...]) -> str:
    size = np.asarray(shape, "<i8")
    return hashlib.sha256(size.tobytes() + positions.astype("<i8").tobytes()).hexdigest()
