"""A checksum by which a segment is known to be as the model drew it, wherever it has been since."""

from __future__ import annotations

import hashlib

import numpy as np

CHECKSUM_TAG = "AMDiff.voxels"


def voxel_checksum(mask: np.ndarray) -> str:
    """Return the SHA-256 of where the voxels of `mask` are; (z, y, x), on the scan's whole grid."""
    positions = np.flatnonzero(mask).astype("<i8")
    shape = np.asarray(mask.shape, "<i8")
    return hashlib.sha256(shape.tobytes() + positions.tobytes()).hexdigest()
