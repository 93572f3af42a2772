"""Labels brought to another grid: volumes are those of geometry, and no lesion is lost or merged."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from AMDiffLib.cohorts.label_resampling import lesions_onto, organs_onto
from AMDiffLib.errors import BadInput
from AMDiffLib.image.resampling import to_spacing


def an_image(array: np.ndarray, spacing: float | tuple[float, float, float]) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((spacing,) * 3 if isinstance(spacing, float) else spacing)
    return image


def a_sphere(radius_mm: float, spacing: float, length: int) -> np.ndarray:
    centre = (length - 1) / 2
    return sum((axis - centre) ** 2 for axis in np.indices((length,) * 3)) * spacing**2 < radius_mm**2


@pytest.mark.parametrize("new_spacing", [1.5, 2.0, 3.3, 4.0])
def test_an_organ_and_a_lesion_keep_the_volume_of_a_sphere(new_spacing):
    sphere = an_image(a_sphere(20.0, 2.0, 30).astype(np.uint8), 2.0)
    grid = to_spacing(sphere, new_spacing)
    for found in (organs_onto(sphere * 2, grid) == 2, lesions_onto(sphere, grid) == 1):
        volume = found.sum() * new_spacing**3
        assert volume == pytest.approx(4 / 3 * np.pi * 20.0**3, rel=0.05)


def test_on_their_own_grid_labels_stay_as_they_are():
    random = np.random.default_rng(0)
    labels = random.choice([0, 2, 5, 8], (9, 10, 11)).astype(np.uint8)
    image = an_image(labels, (2.0, 3.0, 4.0))
    assert np.array_equal(organs_onto(image, image), labels)
    assert np.array_equal(lesions_onto(image, image) > 0, labels > 0)


def test_two_lesions_two_millimetres_apart_stay_two_on_voxels_of_four():
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[4:8, 4:8, 2:9] = 1
    mask[4:8, 4:8, 11:18] = 1
    image = an_image(mask, 1.0)
    found = lesions_onto(image, to_spacing(image, 4.0))
    assert set(np.unique(found)) == {0, 1, 2}


def test_a_lesion_of_one_small_voxel_keeps_its_fullest_wide_voxel():
    mask = np.zeros((16, 16, 16), np.uint8)
    mask[5, 6, 9] = 1
    image = an_image(mask, 1.0)
    assert np.argwhere(lesions_onto(image, to_spacing(image, 4.0))).tolist() == [[1, 1, 2]]


def test_lesions_are_numbered_by_volume():
    mask = np.zeros((8, 8, 24), np.uint8)
    mask[2, 2, 2] = 1
    mask[2:6, 2:6, 12:20] = 1
    found = lesions_onto(an_image(mask, 4.0), an_image(mask, 4.0))
    assert (found[3, 3, 15], found[2, 2, 2]) == (1, 2)


def test_an_oblique_grid_keeps_the_volume():
    sphere = an_image(a_sphere(20.0, 2.0, 30).astype(np.uint8), 2.0)
    grid = sitk.Image(30, 30, 30, sitk.sitkUInt8)
    grid.SetSpacing((3.0,) * 3)
    angle = np.radians(30.0)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    grid.SetDirection(rotation.ravel().tolist())
    grid.SetOrigin((29.0 - rotation @ np.full(3, 43.5)).tolist())
    assert (lesions_onto(sphere, grid) > 0).sum() * 27.0 == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.03)


def test_beyond_the_end_of_the_ct_nothing_is_labelled():
    labels = an_image(np.full((10, 10, 10), 4, np.uint8), 4.0)
    grid = sitk.Image(10, 10, 20, sitk.sitkUInt8)
    grid.SetSpacing((4.0,) * 3)
    assert np.flatnonzero(organs_onto(labels, grid).any(axis=(1, 2))).tolist() == list(range(10))


def test_a_lesion_outside_of_the_image_is_bad_input():
    mask = np.zeros((10, 10, 20), np.uint8)
    mask[5, 5, 15:] = 1
    with pytest.raises(BadInput, match="1 of 1 lesions lie outside of the PET image"):
        lesions_onto(an_image(mask, 4.0), an_image(mask[:, :, :10], 4.0))
