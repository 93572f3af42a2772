"""The check against the counts: its closed-form error, its null distribution, what it finds."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from noisy_cases import (
    SHAPE,
    SPACING,
    a_body,
    correlated_noise,
    low_count_of,
    sphere,
    true_correlation,
)

from AMDiffLib.quantification.anatomy import Anatomy
from AMDiffLib.quantification.count_consistency import (
    NOT_SUPPORTED,
    CountConsistency,
    count_check,
    gaussian,
    smoothed,
)
from AMDiffLib.quantification.lesion_regions import regions_of
from AMDiffLib.quantification.measurements import measure_anatomy
from AMDiffLib.quantification.removed_uptake import removal_warning, removed_hot_spots
from AMDiffLib.quantification.stationary_noise import correlation_by_offset, weighted_variance
from AMDiffLib.quantification.tables import rows
from AMDiffLib.quantification.working_grid import WorkingGrid

GRID = SimpleNamespace(
    spacing=SPACING, origin=(-100.0, -90.0, 20.0), direction=(1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
)
LESION = sphere((16, 30, 44), 9.0)


def lesion_of(mask):
    (region,) = regions_of(mask.astype(int))
    return region


@pytest.fixture(scope="module")
def truth():
    return a_body()


@pytest.fixture(scope="module")
def low_count(truth):
    return low_count_of(truth, 0)


def test_the_variance_of_a_sum_in_closed_form_is_that_of_many_draws():
    weights = np.random.default_rng(3).random((5, 4, 6)).astype(np.float32)
    weights /= weights.sum()
    sd = np.linspace(0.5, 2.0, 6, dtype=np.float32)
    sums = [
        np.sum(weights * sd * noise[a : a + 5, b : b + 4, c : c + 6])
        for seed in range(12)
        for noise in [correlated_noise((48, 48, 48), seed)]
        for a in range(0, 43, 8)
        for b in range(0, 44, 8)
        for c in range(0, 42, 8)
    ]
    expected = weighted_variance(weights * sd, true_correlation(5))
    # Relative standard error of a variance of n draws: sqrt(2 / n), here about 0.03.
    assert np.var(sums) == pytest.approx(expected, rel=4 * math.sqrt(2 / len(sums)))


def test_uncorrelated_noise_averages_with_the_number_of_voxels():
    assert weighted_variance(np.full((3, 4, 5), 1 / 60), np.ones((1, 1, 1))) == pytest.approx(1 / 60)


def test_the_correlation_of_noise_is_measured_in_an_odd_body(truth):
    noise = correlated_noise(SHAPE, 1) * (truth > 0)
    found = correlation_by_offset(noise, truth > 0, SPACING)
    middle = found.shape[0] // 2
    near = (slice(middle - 2, middle + 3),) * 3
    assert found[near] == pytest.approx(true_correlation(2), abs=0.03)


def test_where_nothing_is_added_or_removed_z_scores_have_the_standard_deviation_one(truth):
    inside = np.argwhere(truth > 0)
    rng = np.random.default_rng(0)
    scans = [CountConsistency.of(low_count_of(truth, seed), truth, SPACING) for seed in range(3)]
    for radius in (1, 2, 3):
        axes = np.mgrid[-radius : radius + 1, -radius : radius + 1, -radius : radius + 1]
        ball = ((axes**2).sum(axis=0) <= radius**2).astype(np.float32)
        scores = []
        for consistency in scans:
            for place in inside[rng.integers(len(inside), size=200)]:
                box = tuple(slice(p - radius, p + radius + 1) for p in place)
                if all(s.start >= 0 and s.stop <= n for s, n in zip(box, SHAPE, strict=True)):
                    scores.append(consistency.region_z(ball, box))
        assert 0.9 <= np.std(scores) <= 1.1


def test_the_map_of_z_scores_has_the_standard_deviation_one_and_is_zero_in_air(truth, low_count):
    z = CountConsistency.of(low_count, truth, SPACING).z_map()
    assert 0.9 <= z[truth > 0].std() <= 1.1
    assert (z[truth == 0] == 0).all() and z.shape == SHAPE and z.dtype == np.float32


def test_an_added_lesion_is_not_supported_by_the_counts(truth, low_count):
    blob = smoothed(sphere((30, 40, 40), 8.0).astype(np.float32), SPACING, 6.0)
    region = lesion_of(sphere((30, 40, 40), 8.0))
    unchanged = CountConsistency.of(low_count, truth, SPACING)
    painted = CountConsistency.of(low_count, truth + 3.0 * blob, SPACING)
    assert count_check(unchanged.lesion_z(region)) == ""
    assert count_check(painted.lesion_z(region)) == NOT_SUPPORTED


def test_a_true_lesion_is_supported_also_where_its_edge_has_been_sharpened(truth, low_count):
    # The activity of the lesion and its surroundings is kept, only drawn together.
    blurred = smoothed(LESION.astype(np.float32), SPACING, 5.0)
    sharper = truth + 2.0 * (LESION - blurred).astype(np.float32)
    for denoised in (truth, sharper):
        assert abs(CountConsistency.of(low_count, denoised, SPACING).lesion_z(lesion_of(LESION))) < 2.5


def test_a_lesion_erased_from_the_output_is_listed_with_place_size_and_uptake(truth, low_count):
    erased = np.where(sphere((16, 30, 44), 16.0) & (truth > 0), np.float32(1.0), truth)
    consistency = CountConsistency.of(low_count, erased, SPACING)
    (spot,) = removed_hot_spots(consistency, low_count, erased, GRID)
    centre = (-100.0 + 44 * 4.0, -90.0 + 30 * 4.0, 20.0 + 16 * 4.0)
    assert np.linalg.norm(np.subtract(spot.centroid_lps_mm, centre)) < 4.0
    assert spot.volume_ml == pytest.approx(LESION.sum() * 0.064, rel=0.6)
    assert spot.low_count_suv_mean > 3.5 and spot.suv_mean == pytest.approx(1.0, abs=0.05)
    assert spot.count_z < -5.5
    assert removal_warning((spot,)).startswith("Of the low-count image, 1 hot spot cannot be found")
    assert set(spot.to_dict()) >= {"centroid_l_mm", "low_count_suv_max_g_per_ml", "count_z", "volume_ml"}


def test_nothing_is_listed_where_nothing_was_removed(truth, low_count):
    assert removed_hot_spots(CountConsistency.of(low_count, truth, SPACING), low_count, truth, GRID) == ()
    assert removal_warning(()) == ""


def test_fine_voxels_are_compared_in_blocks_with_the_same_result(truth, low_count):
    low_count, truth, lesion = low_count[:34], truth[:34], LESION[:34]
    fine_low, fine = (np.kron(image, np.ones((2, 2, 2), np.float32)) for image in (low_count, truth))
    mask = np.kron(lesion, np.ones((2, 2, 2), bool))
    coarse = CountConsistency.of(low_count, truth, SPACING)
    blocks = CountConsistency.of(fine_low, fine, (2.0, 2.0, 2.0))
    assert blocks.noise.slow_error == pytest.approx(coarse.noise.slow_error)
    assert blocks.z_blocks == pytest.approx(coarse.z_blocks, abs=1e-3)
    assert blocks.z_map().shape == fine.shape
    # Its margin of 4 mm goes by finer voxels.
    assert blocks.lesion_z(lesion_of(mask)) == pytest.approx(coarse.lesion_z(lesion_of(lesion)), abs=0.5)


def test_voxels_are_counted_by_block_wherever_the_box_begins():
    grid = WorkingGrid.of((11, 8, 9), (2.0, 4.0, 1.3))
    assert grid.factors == (3, 1, 2)
    mask = np.random.default_rng(0).random((11, 8, 9)) > 0.5
    box = (slice(2, 10), slice(1, 7), slice(3, 8))
    whole = np.zeros(mask.shape)
    whole[box] = mask[box]
    sums = np.add.reduceat(np.add.reduceat(whole, [0, 3, 6, 9], axis=0), [0, 2, 4, 6, 8], axis=2)
    assert (grid.voxels_by_block(mask[box], box) == sums[grid.blocks(box)]).all()


def test_an_output_that_equals_the_input_agrees_with_it(truth):
    consistency = CountConsistency.of(truth, truth, SPACING)
    assert not consistency.z_map().any()
    assert consistency.lesion_z(lesion_of(LESION)) == 0.0


def test_images_of_different_shapes_are_refused(truth):
    with pytest.raises(ValueError, match="low-count image has shape"):
        CountConsistency.of(truth[1:], truth, SPACING)


def test_measured_lesions_have_the_z_score_and_the_table_its_check(truth, low_count):
    anatomy = Anatomy.of(regions_of(LESION.astype(int)), np.zeros(SHAPE, np.uint8), GRID)
    consistency = CountConsistency.of(low_count, truth + np.float32(6.0) * LESION, SPACING)
    (lesion,) = measure_anatomy(truth, anatomy, consistency=consistency).lesions
    assert lesion.count_z == pytest.approx(consistency.lesion_z(anatomy.lesions[0]))
    row = rows(measure_anatomy(truth, anatomy, consistency=consistency))[0]
    assert row["count_check"] == NOT_SUPPORTED and row["count_z"] == lesion.count_z
    assert rows(measure_anatomy(truth, anatomy))[0]["count_check"] is None


def test_regions_have_the_stated_width():
    weights = gaussian(10.0, 0.5)
    half = weights >= 0.5 * weights.max()
    assert half.sum() * 0.5 == pytest.approx(10.0, abs=0.6)
    assert weights.sum() == pytest.approx(1.0)
