"""To an isotropic grid and back, without losing activity."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk


def to_spacing(image: sitk.Image, spacing_mm: float, interpolator: int = sitk.sitkLinear) -> sitk.Image:
    """Resample a 3-D image to cubic voxels, its axes and the centre of its extent kept.

    The new grid covers the old one, and exceeds it by less than a voxel. With sitkLinear (the default) an
    axis that gets coarser is averaged, each new voxel being the mean of what it covers, so that means are
    kept and noise is not aliased; one that gets finer is interpolated linearly. Any other interpolator
    (sitkNearestNeighbor for labels) samples at the new voxels' centres.

    Args:
        image: 3-D, one component.
        spacing_mm: edge of the new voxels in mm.
        interpolator: a SimpleITK interpolator.

    Returns:
        float32 for sitkLinear, otherwise of the image's own pixel type.
    """
    reference = _isotropic_grid(image, spacing_mm)
    if interpolator != sitk.sitkLinear:
        return onto_grid(image, reference, interpolator)
    weights = [
        _axis_weights(old_length, old_step, new_length, spacing_mm)
        for old_length, old_step, new_length in zip(
            image.GetSize(), image.GetSpacing(), reference.GetSize(), strict=True
        )
    ]
    along_x, along_y, along_z = weights
    source = sitk.GetArrayViewFromImage(image)
    # Slice by slice in the plane first, so that only the reduced volume is ever whole in memory.
    planes = np.empty((source.shape[0], len(along_y), len(along_x)), np.float32)
    for index, plane in enumerate(source):
        planes[index] = along_y @ plane.astype(np.float32, copy=False) @ along_x.T
    volume = (along_z @ planes.reshape(len(planes), -1)).reshape(len(along_z), *planes.shape[1:])
    result = sitk.GetImageFromArray(volume)
    result.CopyInformation(reference)
    return result


def onto_grid(image: sitk.Image, reference: sitk.Image, interpolator: int = sitk.sitkLinear) -> sitk.Image:
    """Resample `image` onto the grid of `reference` exactly: same size, spacing, origin, direction.

    Beyond the edge of `image` its nearest values are used. The pixel type is that of `image`.
    """
    resample = sitk.ResampleImageFilter()
    resample.SetReferenceImage(reference)
    resample.SetInterpolator(interpolator)
    resample.SetOutputPixelType(image.GetPixelID())
    resample.SetUseNearestNeighborExtrapolator(True)
    return resample.Execute(image)


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


def _axis_weights(old_length: int, old_step: float, new_length: int, new_step: float) -> np.ndarray:
    """Return (new, old) float32 weights along one axis of two grids with a common centre; each row sums to
    1."""
    if new_step > old_step:
        old_edges = (np.arange(old_length + 1) - old_length / 2) * old_step
        new_edges = (np.arange(new_length + 1) - new_length / 2) * new_step
        upper = np.minimum(new_edges[1:, None], old_edges[None, 1:])
        lower = np.maximum(new_edges[:-1, None], old_edges[None, :-1])
        weights = np.maximum(upper - lower, 0)
        return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    centres = (np.arange(new_length) - (new_length - 1) / 2) * new_step / old_step + (old_length - 1) / 2
    centres = np.clip(centres, 0, old_length - 1)
    # The distance to each old voxel, in voxels, gives the two neighbours their share and all others none.
    return np.maximum(1 - np.abs(centres[:, None] - np.arange(old_length)), 0).astype(np.float32)
