"""NRMSE, Dice, biases and detection against hand-made numbers and other libraries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from AMDiffLib.evaluation.detection import detect, measurable_dice
from AMDiffLib.evaluation.metrics import (
    dice,
    hausdorff_95,
    mean_bias_percent,
    nmae,
    nrmse,
    psnr,
    relative_percent,
    ssim_map,
    volume_ml,
)
from AMDiffLib.evaluation.regions import ComparedRegions


def two_images() -> tuple[np.ndarray, np.ndarray]:
    reference = np.array([[[0.0, 1.0], [2.0, 5.0]]])
    estimate = np.array([[[1.0, 1.0], [0.0, 7.0]]])  # errors 1, 0, -2, 2
    return estimate, reference


def test_nrmse_of_four_voxels_by_hand():
    estimate, reference = two_images()
    assert nrmse(estimate, reference) == pytest.approx(1.5 / 5.0)  # sqrt(9/4) over the range 5
    assert nrmse(estimate, reference, by="mean") == pytest.approx(1.5 / 2.0)


def test_nrmse_of_a_region_uses_the_range_and_mean_of_the_reference_in_that_region():
    estimate, reference = two_images()
    mask = np.array([[[0, 1], [1, 0]]])  # errors 0, -2; reference 1, 2
    assert nrmse(estimate, reference, mask) == pytest.approx(math.sqrt(2.0) / 1.0)
    assert nrmse(estimate, reference, mask, by="mean") == pytest.approx(math.sqrt(2.0) / 1.5)


def test_nrmse_agrees_with_monai():
    torch = pytest.importorskip("torch")
    from monai.metrics import RMSEMetric

    random = np.random.default_rng(0)
    estimate, reference = random.random((2, 6, 7, 8)).astype(np.float32)
    rmse = RMSEMetric()(torch.from_numpy(estimate)[None, None], torch.from_numpy(reference)[None, None])
    expected = float(rmse) / float(reference.max() - reference.min())
    assert nrmse(estimate, reference) == pytest.approx(expected, rel=1e-5)


def test_nrmse_grows_with_the_error_and_not_with_the_unit():
    estimate, reference = two_images()
    assert nrmse(reference, reference) == 0.0
    assert nrmse(10 * estimate, 10 * reference) == pytest.approx(nrmse(estimate, reference))


def test_nrmse_without_voxels_or_range_is_not_a_number():
    estimate, reference = two_images()
    assert math.isnan(nrmse(estimate, reference, np.zeros(reference.shape)))
    assert math.isnan(nrmse(estimate, np.ones_like(reference)))
    with pytest.raises(ValueError, match="shape"):
        nrmse(estimate[:, :1], reference)
    with pytest.raises(ValueError, match="median"):
        nrmse(estimate, reference, by="median")


def test_dice_agrees_with_monai():
    torch = pytest.importorskip("torch")
    from monai.metrics import DiceMetric

    random = np.random.default_rng(0)
    found, true = random.random((2, 8, 9, 10)) > [[[[0.6]]], [[[0.7]]]]
    expected = DiceMetric()(
        torch.from_numpy(found)[None, None].float(), torch.from_numpy(true)[None, None].float()
    )
    assert dice(found, true) == pytest.approx(float(expected))


def test_dice_of_equal_disjoint_and_missing_masks():
    a = np.zeros((2, 2, 2), bool)
    a[0] = True
    assert (dice(a, a), dice(a, ~a), dice(np.zeros_like(a), a)) == (1.0, 0.0, 0.0)
    assert math.isnan(dice(a, np.zeros_like(a)))


def noisy_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth volume of SUV 0 to 15 and a noisy copy."""
    random = np.random.default_rng(seed)
    reference = 15.0 * random.random((4, 5, 6)).repeat(4, 0).repeat(4, 1).repeat(4, 2)
    return np.clip(reference + random.normal(0, 1.0, reference.shape), 0, None), reference


def test_ssim_agrees_with_scikit_image_and_with_monai():
    metrics = pytest.importorskip("skimage.metrics")
    torch = pytest.importorskip("torch")
    from monai.metrics import SSIMMetric

    estimate, reference = noisy_pair(0)
    ours = ssim_map(estimate, reference)
    mean, theirs = metrics.structural_similarity(estimate, reference, data_range=20.0, full=True)
    assert np.abs(ours - theirs).max() < 1e-4
    inside = (slice(3, -3),) * 3  # both average where the cube lies within the image
    assert ours[inside].mean() == pytest.approx(mean, abs=1e-5)
    monais = SSIMMetric(spatial_dims=3, data_range=20.0, kernel_type="uniform", win_size=7)
    value = monais(*(torch.from_numpy(image)[None, None].float() for image in (estimate, reference)))
    # MONAI's variances are those of a population: 343/342 apart.
    assert ours[inside].mean() == pytest.approx(float(value), abs=2e-3)


def test_psnr_agrees_with_scikit_image_and_a_hot_bladder_changes_nothing():
    metrics = pytest.importorskip("skimage.metrics")
    estimate, reference = noisy_pair(1)
    estimate = np.minimum(estimate, 20.0)
    expected = metrics.peak_signal_noise_ratio(reference, estimate, data_range=20.0)
    assert psnr(estimate, reference) == pytest.approx(expected)
    hot = np.pad(reference, 1, constant_values=100.0), np.pad(estimate, 1, constant_values=80.0)
    assert psnr(hot[1], hot[0], np.pad(np.ones(reference.shape), 1)) == pytest.approx(expected)
    assert psnr(reference, reference) == math.inf


def test_the_95_per_cent_hausdorff_distance_agrees_with_monai():
    torch = pytest.importorskip("torch")
    from monai.metrics import compute_hausdorff_distance

    random = np.random.default_rng(2)
    z, y, x = np.mgrid[:24, :26, :28]
    for _ in range(3):
        centres = 12 + random.normal(0, 2, (2, 3))
        found, true = ((z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2 < 49 for a, b, c in centres)
        found = found & (random.random(found.shape) > 0.02)
        expected = compute_hausdorff_distance(
            torch.from_numpy(found)[None, None],
            torch.from_numpy(true)[None, None],
            include_background=True,
            percentile=95,
            spacing=(3.0, 4.0, 5.0),
        )
        assert hausdorff_95(found, true, (5.0, 4.0, 3.0)) == pytest.approx(float(expected), rel=1e-5)
    assert math.isnan(hausdorff_95(np.zeros_like(true), true, (4, 4, 4)))


def test_regions_in_one_pass_have_the_figures_of_each_alone():
    estimate, reference = noisy_pair(3)
    masks = {
        "whole": np.ones(reference.shape, bool),
        "some": reference > 5,
        "none": np.zeros(reference.shape, bool),
    }
    for name, errors in ComparedRegions(reference, masks).errors(estimate).items():
        expected = [
            nrmse(estimate, reference, masks[name]),
            nrmse(estimate, reference, masks[name], by="mean"),
            nmae(estimate, reference, masks[name]),
            mean_bias_percent(estimate, reference, masks[name]),
            psnr(estimate, reference, masks[name]),
        ]
        found = [errors.nrmse_range, errors.nrmse_mean, errors.nmae, errors.mean_bias_percent, errors.psnr_db]
        assert found == pytest.approx(expected, rel=1e-4, nan_ok=True)


def test_biases_in_percent():
    estimate, reference = two_images()
    assert mean_bias_percent(estimate, reference) == pytest.approx(100 * (9 - 8) / 8)
    assert relative_percent(3.0, 4.0) == -25.0
    assert math.isnan(relative_percent(3.0, 0.0))
    assert volume_ml(np.ones((2, 5, 5)), (4, 4, 5)) == pytest.approx(4.0)


def test_detection_counts_lesions_by_size_and_marks_that_touch_none():
    true = np.zeros((30, 30, 30), np.int32)
    true[1:4, 1:4, 1:4] = 1  # 27 voxels of 0.064 mL: 1.7 mL, found
    true[10:20, 10:20, 10:20] = 2  # 64 mL, found by one voxel
    true[25:27, 25:27, 25:27] = 4  # 0.5 mL, missed; number 3 is not used
    true[28, 0, 0] = 5  # 0.064 mL, missed
    marked = np.zeros_like(true)
    marked[2:5, 2:5, 2:5] = 1
    marked[19:21, 19:21, 19:21] = 2
    marked[0:2, 25:27, 0:5] = 3  # touches nothing: 20 voxels
    result = detect(marked, true, (4, 4, 4))
    assert result.true == (1, 1, 1, 1)
    assert result.found == (0, 0, 1, 1)
    assert result.false_positives == 1
    assert result.false_positive_ml == pytest.approx(20 * 0.064)
    assert result.false_negative_ml == pytest.approx(9 * 0.064)


def test_detection_without_true_or_marked_lesions():
    nothing, something = np.zeros((4, 4, 4), np.int32), np.ones((4, 4, 4), np.int32)
    assert detect(nothing, nothing, (4, 4, 4)).true == (0, 0, 0, 0)
    assert math.isnan(detect(nothing, nothing, (4, 4, 4)).false_negative_ml)  # autoPET: not 0
    assert detect(something, nothing, (4, 4, 4)).false_positive_ml == pytest.approx(64 * 0.064)
    assert detect(nothing, something, (4, 4, 4)).false_negative_ml == pytest.approx(64 * 0.064)


def flooded(mask: np.ndarray) -> list[set[tuple[int, ...]]]:
    """Components by flood fill over the 18 neighbours that share a face or an edge."""
    steps = [s for s in itertools.product((-1, 0, 1), repeat=3) if 1 <= sum(map(abs, s)) <= 2]
    left, components = set(map(tuple, np.argwhere(mask).tolist())), []
    while left:
        front = [left.pop()]
        component = set(front)
        while front:
            z, y, x = front.pop()
            for dz, dy, dx in steps:
                neighbour = (z + dz, y + dy, x + dx)
                if neighbour in left:
                    left.remove(neighbour)
                    component.add(neighbour)
                    front.append(neighbour)
        components.append(component)
    return components


def test_false_volumes_are_autopets_on_random_masks():
    """Each component against the whole other mask, as the challenge defines it, found by flood fill."""
    random = np.random.default_rng(3)
    for _ in range(3):
        marked, true = random.random((2, 12, 13, 14)) > 0.93
        result = detect(marked.astype(np.int32), true.astype(np.int32), (4, 4, 4))
        alone = [c for c in flooded(marked) if not any(true[v] for v in c)]
        missed = [c for c in flooded(true) if not any(marked[v] for v in c)]
        assert result.false_positives == len(alone)
        assert result.false_positive_ml == pytest.approx(0.064 * sum(map(len, alone)))
        assert result.false_negative_ml == pytest.approx(0.064 * sum(map(len, missed)))


def test_dice_of_measurable_lesions_ignores_small_true_ones_and_what_marks_only_them():
    true = np.zeros((20, 20, 20), np.int32)
    true[2:5, 2:5, 2:5] = 1  # 1.7 mL
    true[10, 10, 10] = 2  # one voxel
    marked = true > 0
    marked[10, 10, 10:13] = True  # the small one, drawn too large
    assert measurable_dice(marked, true, (4, 4, 4)) == 1.0
    marked[16, 16, 10:19] = True  # 9 voxels where there is nothing
    assert measurable_dice(marked, true, (4, 4, 4)) == pytest.approx(2 * 27 / (27 + 27 + 9))
    true[2:5, 2:5, 2:5] = 0
    assert math.isnan(measurable_dice(marked, true, (4, 4, 4)))


def test_a_mark_over_a_small_and_a_large_lesion_counts_outside_the_small_one():
    true = np.zeros((8, 8, 20), np.int32)
    true[2:5, 2:5, 2:5] = 1
    true[3, 3, 8] = 2
    marked = np.zeros(true.shape, bool)
    marked[3, 3, 2:9] = True  # 3 voxels of the large one, 3 between, 1 of the small one
    assert measurable_dice(marked, true, (4, 4, 4)) == pytest.approx(2 * 3 / (6 + 27))
