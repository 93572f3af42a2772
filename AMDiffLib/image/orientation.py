"""Bring an array of any direction onto the axes of the patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

_LARGEST_TILT_DEGREES = 2.0


def to_patient_axes(
    array: np.ndarray,
    spacing: Sequence[float],
    direction: Sequence[float] = IDENTITY,
    *,
    labels: bool = False,
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Reorder, flip and, where the grid is oblique, resample an array so that its axes are the patient's.

    A grid tilted by less than 2 degrees is not resampled: the picture would only lose sharpness.

    Args:
        array: (z, y, x) in the order of the file.
        spacing: (x, y, z) voxel size in mm.
        direction: 9 cosines, row-major, LPS; column i is the direction of axis i.
        labels: resample by nearest neighbour instead of linearly.

    Returns:
        The array as (inferior to superior, anterior to posterior, right to left), a view where possible, and
        its voxel size in mm along these three axes.

    Raises:
        ValueError: the direction is not a rotation with three different main axes.
    """
    matrix = np.asarray(direction, float).reshape(3, 3)
    if not np.allclose(matrix.T @ matrix, np.eye(3), atol=1e-3):
        raise ValueError(f"the direction cosines {tuple(direction)} are not orthonormal")
    main_axis = np.argmax(np.abs(matrix), axis=0)
    tilt = np.degrees(np.arccos(np.clip(np.abs(matrix).max(axis=0), 0.0, 1.0))).max()
    if tilt > _LARGEST_TILT_DEGREES or len(set(main_axis)) < 3:
        return _resampled(array, spacing, matrix, labels)
    order = [int(np.flatnonzero(main_axis == patient_axis)[0]) for patient_axis in (2, 1, 0)]
    aligned = array.transpose([2 - axis for axis in order])
    flips = tuple(slice(None, None, 1 if matrix[main_axis[axis], axis] > 0 else -1) for axis in order)
    return aligned[flips], tuple(float(spacing[axis]) for axis in order)


def _resampled(
    array: np.ndarray, spacing: Sequence[float], matrix: np.ndarray, labels: bool
) -> tuple[np.ndarray, tuple[float, float, float]]:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing([float(size) for size in spacing])
    image.SetDirection(matrix.ravel().tolist())
    size = np.asarray(image.GetSize())
    corners = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * (size - 1)
    points = np.array([image.TransformIndexToPhysicalPoint([int(c) for c in corner]) for corner in corners])
    lowest, highest = points.min(axis=0), points.max(axis=0)
    # The finest voxel size that any of the axes contributes keeps detail along each patient axis.
    step = np.full(3, float(min(spacing)))
    grid = sitk.ResampleImageFilter()
    grid.SetOutputOrigin(lowest.tolist())
    grid.SetOutputSpacing(step.tolist())
    grid.SetSize([int(np.ceil(n)) + 1 for n in (highest - lowest) / step])
    grid.SetInterpolator(sitk.sitkNearestNeighbor if labels else sitk.sitkLinear)
    return sitk.GetArrayFromImage(grid.Execute(image)), tuple(step[::-1].tolist())
