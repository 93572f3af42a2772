"""SUVpeak and TLG against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from AMDiffLib.quantification.suv_metrics import PEAK_RADIUS_MM, sphere_weights, suv_peak, tlg


def mean_of_gaussian_in_sphere(sigma: float, radius: float) -> float:
    """Mean of exp(-r^2 / 2 sigma^2) over a sphere: the radial integral in closed form."""
    integral = math.sqrt(math.pi / 2) * sigma**3 * math.erf(radius / (math.sqrt(2) * sigma))
    integral -= radius * sigma**2 * math.exp(-(radius**2) / (2 * sigma**2))
    return 3 * integral / radius**3


def a_gaussian_blob(spacing_xyz, sigma: float, size_mm: float = 40.0) -> np.ndarray:
    """exp(-r^2 / 2 sigma^2) at the voxel centres, its maximum on the middle voxel."""
    squared = []
    for size in reversed(spacing_xyz):
        half = int(size_mm / 2 / size)
        squared.append((np.arange(-half, half + 1) * size) ** 2)
    radius2 = squared[0][:, None, None] + squared[1][None, :, None] + squared[2][None, None, :]
    return np.exp(-radius2 / (2 * sigma**2))


def test_the_sphere_is_one_millilitre():
    assert pytest.approx(6.2035, abs=1e-4) == PEAK_RADIUS_MM
    assert 4 / 3 * math.pi * PEAK_RADIUS_MM**3 == pytest.approx(1000.0)


@pytest.mark.parametrize("spacing", [(4, 4, 4), (2, 2, 2), (4.69, 4.69, 3.27), (1.65, 1.65, 5), (20, 20, 20)])
def test_the_weights_hold_the_volume_of_the_sphere(spacing):
    weights = sphere_weights(spacing)
    assert weights.sum() == pytest.approx(1.0)
    assert np.allclose(weights, weights[::-1, ::-1, ::-1])
    # The middle voxel of a sphere that covers it wholly weighs voxel volume / sphere volume.
    if max(spacing) <= 4:
        centre = weights[tuple(n // 2 for n in weights.shape)]
        assert centre == pytest.approx(np.prod(spacing) / 1000.0, rel=5e-3)


def test_the_peak_of_a_constant_field_is_the_constant_even_at_the_border_of_the_image():
    suv = np.full((6, 7, 8), 3.25, np.float32)
    mask = np.zeros(suv.shape, bool)
    mask[0, 0, 0] = True
    assert suv_peak(suv, mask, (4, 4, 4)) == pytest.approx(3.25, rel=1e-12)
    assert suv_peak(suv, np.ones_like(mask), (4, 4, 4)) == pytest.approx(3.25, rel=1e-12)


def test_the_peak_of_a_ramp_is_its_value_at_the_highest_voxel_of_the_lesion():
    suv = np.broadcast_to(1.0 + 0.5 * np.arange(20.0), (15, 16, 20))
    mask = np.zeros(suv.shape, bool)
    mask[6:8, 6:8, 8:12] = True
    assert suv_peak(suv, mask, (3, 3, 3)) == pytest.approx(1.0 + 0.5 * 11, rel=1e-12)


@pytest.mark.parametrize("sigma", [5.0, 8.0])
def test_the_peak_of_a_gaussian_blob_is_its_integral_over_the_sphere(sigma):
    suv = a_gaussian_blob((1, 1, 1), sigma)
    expected = mean_of_gaussian_in_sphere(sigma, PEAK_RADIUS_MM)
    # What a voxel's size blurs: a box of 1 mm widens the sphere by a variance of 1/12 mm2 along each axis.
    assert suv_peak(suv, suv > 0.5, (1, 1, 1)) == pytest.approx(expected, rel=3 / 24 / sigma**2 * 2)


@pytest.mark.parametrize("spacing", [(4, 4, 4), (4.69, 4.69, 3.27), (2.5, 2, 1)])
def test_the_peak_is_the_mean_of_random_points_of_the_sphere_in_the_voxels_they_fall_in(spacing):
    suv = a_gaussian_blob(spacing, 5.0)
    middle = np.array([n // 2 for n in suv.shape])
    points = np.random.default_rng(0).uniform(-PEAK_RADIUS_MM, PEAK_RADIUS_MM, (400_000, 3))
    points = points[(points**2).sum(axis=1) <= PEAK_RADIUS_MM**2]
    voxels = middle + np.rint(points / np.array(spacing[::-1])).astype(int)
    expected = suv[tuple(voxels.T)].mean()
    assert suv_peak(suv, suv > 0.5, spacing) == pytest.approx(expected, rel=2e-3)


def test_the_peak_may_lie_away_from_the_hottest_voxel():
    suv = np.ones((20, 20, 40))
    suv[10, 10, 8] = 12.0  # one hot voxel: 8 mm3 of 1000
    suv[7:14, 7:14, 25:32] = 6.0  # holds the whole sphere
    mask = suv > 1
    assert suv_peak(suv, mask, (2, 2, 2)) == pytest.approx(6.0, abs=1e-9)


def test_tlg_is_suv_mean_times_volume():
    suv = np.zeros((4, 4, 4))
    suv[1, 1, 1:3] = (2.0, 4.0)
    assert tlg(suv, suv > 0, (4, 4, 4)) == pytest.approx(3.0 * 0.128)
    assert tlg(suv, suv > 9, (4, 4, 4)) == 0.0


def test_a_lesion_without_voxels_has_no_peak():
    with pytest.raises(ValueError, match="no voxel"):
        suv_peak(np.zeros((3, 3, 3)), np.zeros((3, 3, 3)), (4, 4, 4))
