"""Resampling keeps constants, means and places, and comes back to the very same grid."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from AMDiffLib.image.resampling import onto_grid, to_spacing

TURNED = (np.cos(0.3), -np.sin(0.3), 0, np.sin(0.3), np.cos(0.3), 0, 0, 0, 1)
# A clinical grid, a fine one and one that 4 mm divides.
SPACINGS = [(4.07, 4.07, 3.0), (1.65, 1.65, 2.0), (2.0, 2.0, 2.0), (4.6875, 4.6875, 3.27)]


def an_image(
    array: np.ndarray, spacing: tuple[float, float, float], direction: tuple[float, ...] = TURNED
) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin((-50.0, 12.0, -300.0))
    image.SetDirection(direction)
    return image


def corner(image: sitk.Image, last: bool) -> np.ndarray:
    index = [length - 0.5 if last else -0.5 for length in image.GetSize()]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index))


def a_body(spacing: tuple[float, float, float]) -> np.ndarray:
    """Noise of a low-count scan on a body in air, with a lesion."""
    z, y, x = np.indices((40, 44, 48))
    radius = np.hypot((y - 21.5) * spacing[1], (x - 23.5) * spacing[0])
    mean = np.where((radius < 30) & (abs(z - 19.5) < 15), 1.0, 0.0)
    mean[18:22, 18:22, 20:25] += 9 * (mean[18:22, 18:22, 20:25] > 0)
    return np.random.default_rng(0).poisson(mean * 4).astype(np.float32) / 4


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("target", [2.0, 2.04, 4.0])
def test_a_constant_stays_constant_there_and_back(spacing, target):
    image = an_image(np.full((21, 17, 19), 3.0, np.float32), spacing)
    there = to_spacing(image, target)
    assert sitk.GetArrayFromImage(there) == pytest.approx(3.0, rel=1e-6)
    assert sitk.GetArrayFromImage(onto_grid(there, image)) == pytest.approx(3.0, rel=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("target", [2.0, 4.0])
def test_the_new_grid_is_cubic_and_covers_the_old_one_centrally(spacing, target):
    image = an_image(np.zeros((21, 17, 19), np.float32), spacing)
    there = to_spacing(image, target)
    assert there.GetSpacing() == (target,) * 3
    assert there.GetDirection() == image.GetDirection()
    centre = (corner(image, False) + corner(image, True)) / 2
    assert (corner(there, False) + corner(there, True)) / 2 == pytest.approx(centre)
    excess = np.array(there.GetSize()) * target - np.array(image.GetSize()) * np.array(image.GetSpacing())
    assert (excess > -1e-9).all()
    assert (excess < target).all()


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("target", [2.0, 4.0])
def test_activity_is_kept_within_half_a_per_cent(spacing, target):
    body = a_body(spacing)
    image = an_image(body, spacing)
    there = to_spacing(image, target)
    back = sitk.GetArrayFromImage(onto_grid(there, image))
    activity = body.sum(dtype=float) * np.prod(spacing)
    assert sitk.GetArrayFromImage(there).sum(dtype=float) * target**3 == pytest.approx(activity, rel=0.005)
    assert back.sum(dtype=float) * np.prod(spacing) == pytest.approx(activity, rel=0.005)


def test_halving_the_resolution_averages_blocks_of_eight():
    body = a_body((2.0, 2.0, 2.0))
    there = sitk.GetArrayFromImage(to_spacing(an_image(body, (2.0, 2.0, 2.0)), 4.0))
    blocks = body.reshape(20, 2, 22, 2, 24, 2).mean(axis=(1, 3, 5))
    assert there == pytest.approx(blocks, abs=1e-6)


def test_a_finer_grid_agrees_with_linear_interpolation_by_itk():
    image = an_image(a_body((4.0, 4.0, 4.0)), (4.0, 4.0, 4.0))
    there = to_spacing(image, 2.5)
    by_itk = sitk.Resample(image, there, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32, True)
    assert sitk.GetArrayFromImage(there) == pytest.approx(sitk.GetArrayFromImage(by_itk), abs=1e-4)


def test_a_grid_elsewhere_gets_the_values_of_its_place_and_the_edge_beyond():
    image = an_image(a_body((2.0, 2.0, 2.0)), (2.0, 2.0, 2.0))
    reference = sitk.Image((12, 12, 30), sitk.sitkUInt8)
    reference.SetSpacing((2.0, 2.0, 2.0))
    reference.SetDirection(TURNED)
    reference.SetOrigin(image.TransformIndexToPhysicalPoint((18, 16, 20)))
    moved = sitk.GetArrayFromImage(onto_grid(image, reference))
    assert moved[:20] == pytest.approx(sitk.GetArrayFromImage(image)[20:, 16:28, 18:30], abs=1e-5)
    assert moved[20:] == pytest.approx(
        np.broadcast_to(sitk.GetArrayFromImage(image)[-1, 16:28, 18:30], (10, 12, 12))
    )


def test_a_turned_grid_gets_the_values_of_its_places():
    image = an_image(a_body((2.0, 2.0, 2.0)), (2.0, 2.0, 2.0))
    reference = an_image(np.zeros((40, 44, 48), np.float32), (2.0, 2.0, 2.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    expected = sitk.Resample(image, reference, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32, True)
    turned = sitk.GetArrayFromImage(onto_grid(image, reference))
    assert (turned == sitk.GetArrayFromImage(expected)).all()


def test_a_linear_ramp_keeps_its_place_in_space():
    plain = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    x = np.broadcast_to(-50.0 + 1.5 * np.arange(60, dtype=np.float32), (30, 40, 60)).copy()
    there = to_spacing(an_image(x, (1.5, 2.0, 3.0), plain), 4.0)
    inside = sitk.GetArrayFromImage(there)[4, 4, 1:-1]
    places = there.GetOrigin()[0] + 4.0 * np.arange(1, there.GetSize()[0] - 1)
    # A linear function averaged over a voxel is its value at the centre, but for where old voxels are cut.
    assert inside == pytest.approx(places, abs=0.2)
    assert np.mean(inside - places) == pytest.approx(0, abs=0.01)


def test_the_way_back_ends_on_the_very_same_grid():
    image = an_image(a_body((1.65, 1.65, 2.0)), (1.65, 1.65, 2.0))
    back = onto_grid(to_spacing(image, 4.0), image)
    assert back.GetSize() == image.GetSize()
    assert back.GetSpacing() == image.GetSpacing()
    assert back.GetOrigin() == image.GetOrigin()
    assert back.GetDirection() == image.GetDirection()


def test_labels_stay_labels():
    labels = (a_body((2.0, 2.0, 2.0)) > 0.5).astype(np.uint8) * 7
    image = an_image(labels, (2.0, 2.0, 2.0))
    there = to_spacing(image, 4.0, sitk.sitkNearestNeighbor)
    back = onto_grid(there, image, sitk.sitkNearestNeighbor)
    assert there.GetPixelID() == back.GetPixelID() == sitk.sitkUInt8
    assert set(np.unique(sitk.GetArrayFromImage(back))) == {0, 7}


def test_noise_is_averaged_not_aliased():
    # Averaging 2 x 2 x 2 independent voxels divides the standard deviation by sqrt(8).
    noise = np.random.default_rng(1).normal(size=(40, 40, 40)).astype(np.float32)
    there = sitk.GetArrayFromImage(to_spacing(an_image(noise, (2.0, 2.0, 2.0)), 4.0))
    assert there.std() == pytest.approx(1 / np.sqrt(8), rel=0.02)
