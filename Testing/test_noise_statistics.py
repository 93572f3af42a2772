"""Statistics of noise hold on synthetic noise whose autocorrelation is known in closed form."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage

sys.path.insert(0, str(Path(__file__).resolve().parent / "studies"))

from noise_statistics import (
    RunningMoments,
    autocovariance,
    log_log_slope,
    noise_texture,
    sampling_error,
    trend_basis,
    trend_bias,
)

SIDE = 14
WEIGHTS = {0: (1.0, 3.0, 1.0), 1: (2.0, 3.0, 2.0), 2: (1.0, 1.0, 1.0)}


def smoothed_noise(seed: int) -> np.ndarray:
    """Return white noise of variance 1 smoothed along each axis by the weights of that axis."""
    noise = np.random.default_rng(seed).standard_normal((SIDE + 2,) * 3)
    for axis, weights in WEIGHTS.items():
        noise = scipy.ndimage.convolve1d(noise, weights, axis=axis)
    return noise[1:-1, 1:-1, 1:-1]


def known_covariance(axis: int, lag: int) -> float:
    """Return the autocovariance of the weights: sums of products `lag` apart, times the other axes' power."""
    at_lag = {0: 1.0, 1: 1.0, 2: 1.0}
    for other, weights in WEIGHTS.items():
        full = np.correlate(weights, weights, "full")
        shift = lag if other == axis else 0
        at_lag[other] = float(full[2 + shift]) if shift <= 2 else 0.0
    return float(np.prod(list(at_lag.values())))


@pytest.fixture(scope="module")
def measured():
    z, y, x = np.mgrid[:SIDE, :SIDE, :SIDE] / SIDE
    trend = 400 + 30 * z - 20 * y + 15 * x * y + 25 * z**2
    return [noise_texture(trend + smoothed_noise(seed)) for seed in range(40)]


@pytest.mark.parametrize(("axis", "name"), [(0, "axial"), (1, "anterior-posterior"), (2, "left-right")])
def test_correlation_under_a_trend_is_that_of_the_weights(measured, axis, name):
    found = np.mean([texture.correlation[name] for texture in measured], axis=0)
    expected = [known_covariance(axis, lag) / known_covariance(axis, 0) for lag in range(1, 5)]
    # The mean of 40 boxes has a standard error of 0.01; a trend left uncorrected takes 0.03 to 0.05.
    assert found == pytest.approx(expected, abs=0.025)


def test_transaxial_correlation_is_the_mean_of_both_directions(measured):
    correlation = measured[0].correlation
    both = correlation["anterior-posterior"] + correlation["left-right"]
    assert correlation["transaxial"] == pytest.approx(both / 2)


def test_variation_under_a_trend_is_the_noise_over_the_mean(measured):
    found = np.mean([texture.variation * texture.mean for texture in measured])
    assert found == pytest.approx(np.sqrt(known_covariance(0, 0)), rel=0.02)


def test_correlations_scatter_as_their_standard_error_says(measured):
    _, error = sampling_error(measured[0], (SIDE,) * 3, redraws=30)
    for name in ("axial", "left-right"):
        scatter = np.std([texture.correlation[name] for texture in measured], axis=0, ddof=1)
        # Both are estimated, from 40 boxes and from 30 redraws.
        assert np.all(error[name] / scatter > 0.5)
        assert np.all(error[name] / scatter < 1.8)


def test_bias_of_a_removed_mean_is_the_variance_of_the_mean():
    # White noise less its own mean has the covariance (identity - 1/n): 1/n less at every offset.
    covariance = np.zeros((3, 3, 3))
    covariance[1, 1, 1] = 1.0
    bias = trend_bias(covariance, trend_basis((6, 5, 4), 0), (6, 5, 4))
    assert bias == pytest.approx(np.full((3, 3, 3), 1 / 120))


def test_a_trend_of_second_order_has_ten_terms_and_leaves_nothing_of_a_parabola():
    basis = trend_basis((5, 6, 7), 2)
    z, y, x = np.mgrid[:5, :6, :7]
    parabola = (3 + x * y - 2 * z**2).ravel().astype(float)
    assert basis.shape[1] == 10
    assert parabola - basis @ (basis.T @ parabola) == pytest.approx(np.zeros(parabola.size), abs=1e-9)


def test_autocovariance_of_a_checkerboard_alternates():
    board = (-1.0) ** np.indices((6, 6, 6)).sum(axis=0)
    assert autocovariance(board, 2)[2, 2] == pytest.approx([1, -1, 1, -1, 1])


def test_a_box_too_small_for_its_lags_is_refused():
    with pytest.raises(ValueError, match="more than 8"):
        noise_texture(np.ones((8, 12, 12)))


def test_poisson_counts_have_a_slope_of_minus_one_half():
    counts = [10.0, 100.0, 1000.0]
    assert log_log_slope(counts, [1 / np.sqrt(n) for n in counts]) == pytest.approx(-0.5)


def test_running_moments_are_those_of_numpy():
    images = np.random.default_rng(1).gamma(2.0, size=(7, 3, 4))
    moments = RunningMoments()
    for image in images:
        moments.add(image)
    assert moments.mean == pytest.approx(images.mean(axis=0))
    assert moments.standard_deviation == pytest.approx(images.std(axis=0, ddof=1))
