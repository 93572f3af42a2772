"""To an isotropic grid and back, without losing activity."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk

_FEWEST_FOR_SPLINE = 4


def to_spacing(image: sitk.Image, spacing_mm: float, interpolator: int = sitk.sitkLinear) -> sitk.Image:
    """Resample a 3-D image to cubic voxels, its axes and the centre of its extent kept.

    The new grid covers the old one, and exceeds it by less than a voxel.

    Args:
        image: 3-D, one component.
        spacing_mm: edge of the new voxels in mm.
        interpolator: as for `onto_grid`.

    Returns:
        As `onto_grid`.
    """
    return onto_grid(image, _isotropic_grid(image, spacing_mm), interpolator)


def onto_grid(image: sitk.Image, reference: sitk.Image, interpolator: int = sitk.sitkLinear) -> sitk.Image:
    """Resample `image` onto the grid of `reference` exactly: same size, spacing, origin, direction.

    With sitkLinear, an axis that gets coarser is averaged, each new voxel being the mean of what it
    covers, so that means are kept and noise is not aliased; one that gets finer is interpolated linearly.
    (Where the axes of the grids are not parallel, all are interpolated linearly.) Any other interpolator
    (sitkNearestNeighbor for labels) samples at the new voxels' centres; a cubic spline through fewer than
    four voxels overshoots, so there sitkBSpline is taken as sitkLinear. Beyond the edge of `image` its
    nearest values are used.

    Returns:
        float32 for sitkLinear, otherwise of the image's own pixel type.
    """
    if interpolator == sitk.sitkBSpline and min(image.GetSize()) < _FEWEST_FOR_SPLINE:
        interpolator = sitk.sitkLinear
    if interpolator == sitk.sitkLinear and np.allclose(
        image.GetDirection(), reference.GetDirection(), rtol=0, atol=1e-6
    ):
        return _along_axes(image, reference)
    resample = sitk.ResampleImageFilter()
    resample.SetReferenceImage(reference)
    resample.SetInterpolator(interpolator)
    resample.SetOutputPixelType(sitk.sitkFloat32 if interpolator == sitk.sitkLinear else image.GetPixelID())
    resample.SetUseNearestNeighborExtrapolator(True)
    return resample.Execute(image)


def _along_axes(image: sitk.Image, reference: sitk.Image) -> sitk.Image:
    direction = np.array(image.GetDirection()).reshape(3, 3)
    shift = direction.T @ (np.array(reference.GetOrigin()) - np.array(image.GetOrigin()))
    along_x, along_y, along_z = (
        _axis_weights(
            np.arange(image.GetSize()[axis]) * image.GetSpacing()[axis],
            image.GetSpacing()[axis],
            shift[axis] + np.arange(reference.GetSize()[axis]) * reference.GetSpacing()[axis],
            reference.GetSpacing()[axis],
        )
        for axis in range(3)
    )
    source = sitk.GetArrayViewFromImage(image)
    # Slice by slice in the plane first, so that no second whole volume of the input's size is needed.
    planes = np.empty((source.shape[0], len(along_y), len(along_x)), np.float32)
    for index, plane in enumerate(source):
        planes[index] = along_y @ plane.astype(np.float32, copy=False) @ along_x.T
    volume = (along_z @ planes.reshape(len(planes), -1)).reshape(len(along_z), *planes.shape[1:])
    result = sitk.GetImageFromArray(volume)
    result.CopyInformation(reference)
    return result


def _isotropic_grid(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """Return an empty image with the smallest cubic-voxel grid that covers `image`, on the same centre."""
    old_size, old_spacing = np.array(image.GetSize()), np.array(image.GetSpacing())
    # The small allowance keeps rounding from adding a voxel where the spacing divides the extent.
    size = [max(1, math.ceil(extent / spacing_mm - 1e-6)) for extent in old_size * old_spacing]
    centre = (old_size - 1) / 2
    first_voxel = centre - (np.array(size) - 1) / 2 * spacing_mm / old_spacing
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetSpacing((spacing_mm,) * 3)
    grid.SetDirection(image.GetDirection())
    grid.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(first_voxel.tolist()))
    return grid


def _axis_weights(old: np.ndarray, old_step: float, new: np.ndarray, new_step: float) -> np.ndarray:
    """Return (new, old) float32 weights between voxel centres in mm along one axis; each row sums to 1."""
    # Centres beyond the old grid take the value at its edge.
    inside = np.clip(new, old[0], old[-1])
    # The distance to each old voxel, in voxels, gives the two neighbours their share and all others none.
    linear = np.maximum(1 - np.abs(inside[:, None] - old) / old_step, 0)
    if new_step > old_step:
        upper = np.minimum(new[:, None] + new_step / 2, old + old_step / 2)
        lower = np.maximum(new[:, None] - new_step / 2, old - old_step / 2)
        overlap = np.maximum(upper - lower, 0)
        covered = overlap.sum(axis=1, keepdims=True)
        linear = np.where(covered > 1e-6 * old_step, overlap / np.maximum(covered, 1e-12), linear)
    return linear.astype(np.float32)
