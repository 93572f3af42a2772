"""The Gaussian comparator has the width it says and is the best of those tried."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from AMDiffLib.evaluation.gaussian import WIDTHS_MM, best_width, gaussian_filter


@pytest.mark.parametrize("fwhm_mm", [3.0, 6.0, 10.0])
@pytest.mark.parametrize("spacing", [(4.0, 4.0, 4.0), (2.0, 2.0, 3.0)])
def test_a_point_becomes_a_gaussian_of_that_variance_along_each_axis(fwhm_mm, spacing):
    point = np.zeros((21, 25, 29), np.float32)
    point[10, 12, 14] = 1.0
    blurred = gaussian_filter(point, spacing, fwhm_mm).astype(float)
    sigma2 = (fwhm_mm / 2.3548200) ** 2
    assert blurred.sum() == pytest.approx(1.0, rel=1e-5)
    for axis, size in enumerate(reversed(spacing)):
        position = (np.arange(blurred.shape[axis]) - blurred.shape[axis] // 2) * size
        profile = blurred.sum(axis=tuple(other for other in range(3) if other != axis))
        # The kernel is cut where 0.1 % is left, which takes a few per cent of the variance.
        assert (profile * position**2).sum() == pytest.approx(sigma2, rel=0.04)


def test_it_agrees_with_scipy_where_the_width_is_more_than_a_voxel():
    image = np.random.default_rng(0).random((20, 20, 20)).astype(np.float32)
    ours = gaussian_filter(image, (1.0, 1.0, 1.0), 6.0)
    scipys = ndimage.gaussian_filter(image.astype(float), 6.0 / 2.3548200, mode="nearest")
    assert np.abs(ours - scipys).max() < 0.01 * image.std()


def test_a_constant_image_stays_the_same():
    assert gaussian_filter(np.full((8, 8, 8), 2.5), (4, 4, 4), 10.0) == pytest.approx(2.5, rel=1e-5)


def test_the_best_width_has_the_smallest_mean_error_over_the_cases():
    assert best_width({3.0: [0.3, 0.1], 5.0: [0.15, 0.15], 8.0: [0.0, 0.9]}) == 5.0
    assert best_width({3.0: [math.nan, 0.2], 5.0: [0.3, 0.3]}) == 3.0
    assert math.isnan(best_width({3.0: [math.nan]}))


def test_noise_on_a_flat_image_is_best_filtered_with_the_widest_and_a_clean_image_with_the_narrowest():
    random = np.random.default_rng(1)
    flat, noise = np.ones((16, 16, 16)), random.normal(size=(16, 16, 16))

    def errors(image: np.ndarray, truth: np.ndarray) -> dict[float, list[float]]:
        return {w: [float(np.std(gaussian_filter(image, (4, 4, 4), w) - truth))] for w in WIDTHS_MM}

    assert best_width(errors(flat + noise, flat)) == 10.0
    assert best_width(errors(noise, noise)) == 3.0
