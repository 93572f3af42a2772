"""Organ labels and lesions brought to the grid of a PET image."""

from __future__ import annotations

from itertools import product

import numpy as np
import SimpleITK as sitk

from AMDiffLib.errors import BadInput
from AMDiffLib.image.resampling import onto_grid
from AMDiffLib.inference.lesions import label_lesions

_POINTS_A_VOXEL = 8  # along each axis of the new grid, to find how much of a voxel a lesion fills


def organs_onto(labels: sitk.Image, grid: sitk.Image) -> np.ndarray:
    """Return for each voxel of `grid` the label that fills most of it, (z, y, x) uint8.

    Beyond the extent of `labels` (a CT is often shorter than the PET) it is 0: nothing is known there.
    """
    values = sitk.GetArrayViewFromImage(labels)
    best = np.zeros(grid.GetSize()[::-1], np.uint8)
    most = np.zeros(best.shape, np.float32)
    known = np.zeros(best.shape, np.float32)
    for label in np.unique(values):
        if label == 0:
            continue
        box = _box_around(values == label)
        share = _share(labels, int(label), box, grid)
        known += share
        larger = share > most
        best[larger], most[larger] = label, share[larger]
    best[1.0 - known > most] = 0  # what is no organ fills more of the voxel
    inside = sitk.Image(labels.GetSize(), sitk.sitkUInt8) + 1
    inside.CopyInformation(labels)
    covered = sitk.Resample(inside, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    return best * (sitk.GetArrayViewFromImage(covered) > 0)


def lesions_onto(mask: sitk.Image, grid: sitk.Image) -> np.ndarray:
    """Return the connected components of `mask` on `grid`: (z, y, x) uint16, 0 outside, 1..n by volume.

    Components are found on the mask's own grid, so that wider voxels do not merge two lesions. A lesion keeps
    the voxels of which it fills half or more, or, where there is none, its fullest: none is lost.

    Raises BadInput where most of a lesion lies outside of `grid`.
    """
    components = label_lesions(
        sitk.GetArrayViewFromImage(mask) != 0, spacing=mask.GetSpacing(), minimum_ml=0.0
    )
    result = np.zeros(grid.GetSize()[::-1], np.uint16)
    where = np.argwhere(components)
    if not len(where):
        return result
    numbers = components[tuple(where.T)].astype(np.int64)
    pairs, shares, found = _shares(where, numbers, mask, grid)
    sizes = np.bincount(numbers)
    lost = np.flatnonzero(found[1:] < 0.5 * sizes[1:]) + 1
    if lost.size:
        raise BadInput(
            f"{lost.size} of {len(sizes) - 1} lesions lie outside of the PET image: is the mask of "
            "this scan, and in its place?"
        )
    flat = result.ravel()
    order = np.argsort(shares, kind="stable")
    kept = order[shares[order] >= 0.5 - 1e-6]
    flat[pairs[kept, 1]] = pairs[kept, 0]
    for number in np.setdiff1d(np.unique(numbers), flat):
        own = order[pairs[order, 0] == number]
        free = own[flat[pairs[own, 1]] == 0]
        flat[pairs[(free if free.size else own)[-1], 1]] = number
    return result


def _shares(
    where: np.ndarray, numbers: np.ndarray, mask: sitk.Image, grid: sitk.Image
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split each lesion voxel into points and count them in the voxels of `grid`.

    Returns (n, 2) pairs of lesion number and flat voxel index, the share of that voxel that the lesion fills,
    and how much of each lesion lies on the grid, in voxels of the mask.
    """
    to_grid = _index_to_point(grid)
    steps = np.array(mask.GetSpacing()) / np.array(grid.GetSpacing())
    points = np.clip(np.ceil(_POINTS_A_VOXEL * steps), 1, 12).astype(int)
    shape = np.array(grid.GetSize())
    matrix, origin = _index_to_point(mask)
    keys = []
    for offset in product(*(range(count) for count in points)):
        index = where[:, ::-1] + (np.array(offset) + 0.5) / points - 0.5
        target = np.linalg.solve(to_grid[0], (index @ matrix.T + origin - to_grid[1]).T).T
        # The tiny shift keeps a point on the face between two voxels from falling to chance.
        target = np.rint(target + 1e-6).astype(np.int64)
        inside = ((target >= 0) & (target < shape)).all(axis=1)
        x, y, z = target[inside].T
        voxel = (z * shape[1] + y) * shape[0] + x
        keys.append(numbers[inside] * int(np.prod(shape)) + voxel)
    found, counts = np.unique(np.concatenate(keys), return_counts=True)
    pairs = np.stack(np.divmod(found, int(np.prod(shape))), axis=1)
    each = 1.0 / np.prod(points)
    on_grid = np.bincount(pairs[:, 0], weights=counts * each, minlength=int(numbers.max()) + 1)
    return pairs, counts * each * float(np.prod(steps)), on_grid


def _index_to_point(image: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    matrix = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return matrix, np.array(image.GetOrigin())


def _box_around(mask: np.ndarray) -> tuple[slice, slice, slice]:
    """The box of a mask with a voxel more on each side, where there is one."""
    box = []
    for axis, length in enumerate(mask.shape):
        occupied = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(max(0, int(occupied[0]) - 1), min(length, int(occupied[-1]) + 2)))
    return tuple(box)


def _share(labels: sitk.Image, label: int, box: tuple[slice, ...], grid: sitk.Image) -> np.ndarray:
    """How much of each voxel of `grid` a label fills, 0 to 1."""
    start = [part.start for part in box][::-1]
    size = [part.stop - part.start for part in box][::-1]
    part = sitk.RegionOfInterest(labels, size, start)
    mask = sitk.Cast(part == label, sitk.sitkFloat32)
    return sitk.GetArrayFromImage(onto_grid(mask, grid))
